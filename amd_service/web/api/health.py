"""Seen from outside: alive, able to take callbacks, able to judge, and in figures."""

from http import HTTPStatus

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from amd_service import __version__
from amd_service.calls import queue
from amd_service.database.schema import SchemaState
from amd_service.errors import DatabaseUnavailable
from amd_service.runtime import Runtime
from amd_service.telemetry import get_logger
from amd_service.web.state import runtime_of

log = get_logger(__name__)


async def health(request: Request) -> JSONResponse:
    """GET /health: the process is alive; how far its classifier is. Touches neither database nor model.

    Open to everybody, so it says no more: why a classifier is not ready names files, and is for key holders.
    """
    report = runtime_of(request).classifier_report()
    shown = {name: report[name] for name in ("phase", "ready", "demonstration")}
    return JSONResponse({"status": "alive", "version": __version__, "classifier": shown})


async def ready(request: Request) -> JSONResponse:
    """GET /ready: callbacks can be taken, which needs the database and its schema, nothing else."""
    try:
        state = await runtime_of(request).database.schema_state()
    except DatabaseUnavailable as error:
        log.warning("not ready: database away", error=str(error))
        return _readiness(False, "the database is away")
    usable = state in (SchemaState.CURRENT, SchemaState.NEWER)
    return _readiness(usable, None if usable else f"schema is {state}: run `amd-service migrate`")


async def ready_classifier(request: Request) -> JSONResponse:
    """GET /ready/classifier: the model is loaded and warm; what to do where it is not."""
    report = runtime_of(request).classifier_report()
    return JSONResponse(report, status_code=_status(report["phase"] == "ready"))


async def metrics(request: Request) -> Response:
    """GET /metrics: Prometheus."""
    runtime = runtime_of(request)
    await _measure_queue(runtime)
    runtime.metrics.classifier_ready.set(runtime.detector.ready)
    return Response(generate_latest(runtime.metrics.registry), media_type=CONTENT_TYPE_LATEST)


async def _measure_queue(runtime: Runtime) -> None:
    """Fill the queue's gauges. A scrape goes on without them while the database is away: it counts that."""
    try:
        async with runtime.database.transaction() as session:
            depth = await queue.depth(session)
    except DatabaseUnavailable:
        runtime.metrics.loop_errors.labels("metrics").inc()
        return
    for state, count in depth.by_state.items():
        runtime.metrics.queue_depth.labels(state).set(count)
    runtime.metrics.queue_oldest_s.set(depth.oldest_due_s)


def _readiness(usable: bool, reason: str | None) -> JSONResponse:
    return JSONResponse({"ready": usable, "reason": reason}, status_code=_status(usable))


def _status(usable: bool) -> HTTPStatus:
    return HTTPStatus.OK if usable else HTTPStatus.SERVICE_UNAVAILABLE
