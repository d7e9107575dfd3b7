"""Liveness, readiness and metrics."""

from collections.abc import Mapping
from http import HTTPStatus

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from amd_service import __version__
from amd_service.domain import ALL_SCOPES, AccessScope
from amd_service.operations.health import database_fault, measure_queue
from amd_service.web.api.openapi.responses import problems, response
from amd_service.web.api.openapi.route import NO_ACCESS, PUBLIC, DescribedRoute
from amd_service.web.api.schemas import (
    ClassifierProblem,
    ClassifierShape,
    HealthAnswer,
    NotReadyProblem,
    ReadyAnswer,
)
from amd_service.web.problems import Problem
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
    """GET /ready: reports whether callbacks can be stored. The classifier does not have to be ready.

    Raises Problem 503 with the same members if callbacks cannot be stored.
    """
    fault = await database_fault(runtime_of(request).database)
    return _report({"ready": fault is None, "reason": fault}, is_ready=fault is None)


async def ready_classifier(request: Request) -> JSONResponse:
    """GET /ready/classifier: reports whether the model is loaded and warm.

    Raises Problem 503 with the same members if not. `reason` says what to do.
    """
    report = runtime_of(request).classifier_report()
    return _report(report, is_ready=report["phase"] == "ready")


async def metrics(request: Request) -> Response:
    """GET /metrics: metrics as Prometheus text. Also works while the database is unavailable."""
    runtime = runtime_of(request)
    await measure_queue(runtime.database, runtime.metrics)
    runtime.metrics.classifier_ready.set(runtime.detector.is_ready)
    runtime.metrics.set_model(runtime.detector.identity)
    return Response(generate_latest(runtime.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _report(report: Mapping[str, object], *, is_ready: bool) -> JSONResponse:
    if not is_ready:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(report["reason"]), members=report, retry_after_s=1)
    return JSONResponse(report)


ROUTES = (
    DescribedRoute(
        "/health",
        health,
        get={
            **PUBLIC,
            "summary": "Check that the process is alive",
            "responses": {
                "200": response("The process is alive.", HealthAnswer),
                **problems(HTTPStatus.BAD_REQUEST),
            },
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
                **problems(HTTPStatus.BAD_REQUEST),
                **problems(HTTPStatus.SERVICE_UNAVAILABLE, shape=NotReadyProblem),
            },
        },
    ),
    DescribedRoute(
        "/ready/classifier",
        ready_classifier,
        needs=ALL_SCOPES,
        get={
            "summary": "Check that the model is loaded and warm",
            "responses": {
                "200": response("The model is loaded and warm.", ClassifierShape),
                **problems(HTTPStatus.SERVICE_UNAVAILABLE, shape=ClassifierProblem),
                **problems(*NO_ACCESS),
            },
        },
    ),
    DescribedRoute(
        "/metrics",
        metrics,
        needs=AccessScope.READ,
        get={
            "summary": "Metrics",
            "responses": {
                "200": {"description": "Prometheus text.", "content": {"text/plain": {"schema": {"type": "string"}}}},
                **problems(*NO_ACCESS),
            },
        },
    ),
)
