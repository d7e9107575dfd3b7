"""Liveness, readiness and metrics."""

from http import HTTPStatus

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from amd_service import __version__
from amd_service.operations.health import database_fault, measure_queue
from amd_service.web.api.openapi.responses import problems, response
from amd_service.web.api.openapi.route import KEY_REQUIRED, NO_ACCESS, PUBLIC, DescribedRoute
from amd_service.web.api.schemas import ClassifierShape, HealthAnswer, ReadyAnswer
from amd_service.web.state import runtime_of


async def health(request: Request) -> JSONResponse:
    """GET /health: reports that the process is alive, and the phase of the classifier.

    Uses neither the database nor the model.

    The route is public. The response therefore omits `reason`, which can contain file names.
    """
    report = runtime_of(request).classifier_report()
    shown = {name: report[name] for name in ("phase", "ready", "demonstration")}
    return JSONResponse({"status": "alive", "version": __version__, "classifier": shown})


async def ready(request: Request) -> JSONResponse:
    """GET /ready: reports whether callbacks can be stored. The classifier does not have to be ready."""
    fault = await database_fault(runtime_of(request).database)
    return JSONResponse({"ready": fault is None, "reason": fault}, status_code=_status(fault is None))


async def ready_classifier(request: Request) -> JSONResponse:
    """GET /ready/classifier: reports whether the model is loaded and warm. If not, `reason` says what to do."""
    report = runtime_of(request).classifier_report()
    return JSONResponse(report, status_code=_status(report["phase"] == "ready"))


async def metrics(request: Request) -> Response:
    """GET /metrics: metrics as Prometheus text. Also works while the database is unavailable."""
    runtime = runtime_of(request)
    await measure_queue(runtime.database, runtime.metrics)
    runtime.metrics.classifier_ready.set(runtime.detector.is_ready)
    return Response(generate_latest(runtime.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _status(is_ready: bool) -> HTTPStatus:
    return HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE


ROUTES = (
    DescribedRoute(
        "/health",
        health,
        get={
            **PUBLIC,
            "summary": "Check that the process is alive",
            "responses": {"200": response("The process is alive.", HealthAnswer)},
        },
    ),
    DescribedRoute(
        "/ready",
        ready,
        get={
            **PUBLIC,
            "summary": "Check that callbacks can be stored",
            "responses": {
                "200": response("Callbacks can be stored.", ReadyAnswer),
                "503": response("Callbacks cannot be stored: see `reason`.", ReadyAnswer),
            },
        },
    ),
    DescribedRoute(
        "/ready/classifier",
        ready_classifier,
        get={
            **KEY_REQUIRED,
            "summary": "Check that the model is loaded and warm",
            "responses": {
                "200": response("The model is loaded and warm.", ClassifierShape),
                "503": response("The model is not ready: `reason` says what to do.", ClassifierShape),
                **problems(*NO_ACCESS),
            },
        },
    ),
    DescribedRoute(
        "/metrics",
        metrics,
        get={
            **KEY_REQUIRED,
            "summary": "Metrics",
            "responses": {
                "200": {"description": "Prometheus text.", "content": {"text/plain": {"schema": {"type": "string"}}}},
                **problems(*NO_ACCESS),
            },
        },
    ),
)
