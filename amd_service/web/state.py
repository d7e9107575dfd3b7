"""What a request handler can reach."""

from starlette.requests import Request

from amd_service.operations.place_call import CallPlacer
from amd_service.runtime import Runtime


def runtime_of(request: Request) -> Runtime:
    """The process's runtime, put on the app by `create_app`."""
    runtime: Runtime = request.app.state.runtime
    return runtime


def call_placer_of(request: Request) -> CallPlacer:
    """What places the process's calls, put on the app by `create_app`."""
    call_placer: CallPlacer = request.app.state.call_placer
    return call_placer
