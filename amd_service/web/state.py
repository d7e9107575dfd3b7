"""What a request handler can reach."""

from starlette.requests import Request

from amd_service.operations.place_call import Dialler
from amd_service.runtime import Runtime


def runtime_of(request: Request) -> Runtime:
    """The process's runtime, put on the app by `create_app`."""
    runtime: Runtime = request.app.state.runtime
    return runtime


def dialler_of(request: Request) -> Dialler:
    """What places the process's calls, put on the app by `create_app`."""
    dialler: Dialler = request.app.state.dialler
    return dialler
