"""The app is a value built by a function: lists of routes, middleware and handlers, nothing else."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route, WebSocketRoute

from amd_service.operations.place_call import CallPlacer
from amd_service.runtime import Runtime
from amd_service.web.access import AccessControl
from amd_service.web.api import calls, health, model_info, openapi, predict, predict_stream
from amd_service.web.limiter import Limiter
from amd_service.web.problems import Problem, handle_bug, handle_http_exception, handle_problem
from amd_service.web.twilio import media, missing_upgrade, stream_xml, webhooks
from amd_service.web.uploads import UploadSlots

OPEN_PATHS = ("/health", "/ready")

HEALTH_ROUTES: Sequence[BaseRoute] = (
    Route("/health", health.health),
    Route("/ready", health.ready),
    Route("/ready/classifier", health.ready_classifier),
    Route("/metrics", health.metrics),
)

SERVICE_ROUTES: Sequence[BaseRoute] = (
    Route("/twilio/status", webhooks.receive_status, methods=["POST"]),
    Route("/twilio/recording", webhooks.receive_recording, methods=["POST"]),
    Route("/twilio/amd", webhooks.receive_amd, methods=["POST"]),
    Route("/twilio/stream.xml", stream_xml.stream_xml, methods=["GET", "POST"]),
    WebSocketRoute(media.MEDIA_PATH, media.media),
    Route(media.MEDIA_PATH, missing_upgrade.missing_upgrade),
    Route("/predict", predict.predict, methods=["POST"]),
    Route("/predict-stream", predict_stream.predict_stream, methods=["POST"]),
    Route("/model-info", model_info.model_info),
    Route("/openapi.json", openapi.openapi),
    Route("/api/calls", calls.start_call, methods=["POST"]),
    Route("/api/calls/{sid}", calls.read_call),
    *HEALTH_ROUTES,
)


def create_app(runtime: Runtime, routes: Sequence[BaseRoute] = SERVICE_ROUTES) -> Starlette:
    """The ASGI app over an open runtime. `routes`: HEALTH_ROUTES for a process that only works off the queue."""
    app = Starlette(
        routes=list(routes),
        middleware=[
            Middleware(AccessControl, settings=runtime.settings, open_paths=OPEN_PATHS),
            # Apart: streams last as long as calls, and must not keep uploads out.
            Middleware(UploadSlots, limit=runtime.settings.inference_queue, path="/predict"),
            Middleware(UploadSlots, limit=runtime.settings.inference_queue, path="/predict-stream"),
        ],
        exception_handlers={
            Problem: handle_problem,
            HTTPException: handle_http_exception,
            Exception: handle_bug,
        },
    )
    # A redirect would lose the POST, and lead wherever the Host header says.
    app.router.redirect_slashes = False
    app.state.runtime = runtime
    app.state.call_placer = CallPlacer(runtime.database, runtime.rest, runtime.settings, runtime.metrics)
    app.state.stream_places = Limiter(runtime.settings.live_streams)
    return app
