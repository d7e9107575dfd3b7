"""Reads requests that Twilio signed."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from starlette.requests import Request

from amd_service.domain import MAX_TAGS, NAME_RULE, Tagging
from amd_service.domain.tagging import CAMPAIGN, TAG
from amd_service.errors import InvalidCallback, InvalidSignature, MalformedCallback, VerificationNotConfigured
from amd_service.telemetry import Metrics, get_logger
from amd_service.twilio import callbacks, signature
from amd_service.web.api.openapi.responses import Json
from amd_service.web.body import media_type, read_body
from amd_service.web.media_types import FORM
from amd_service.web.problems import Problem
from amd_service.web.state import runtime_of, state_of

log = get_logger(__name__)

Pairs = tuple[tuple[str, str], ...]

# OpenAPI description of the query that every URL for Twilio may have.
TAGGING_PARAMETERS: list[Json] = [
    {
        "name": CAMPAIGN,
        "in": "query",
        "description": "Campaign of the call. An invalid value is ignored.",
        "schema": {"type": "string"},
    },
    {
        "name": TAG,
        "in": "query",
        "description": f"Tag of the call. May be repeated, at most {MAX_TAGS} times. An invalid value is ignored.",
        "schema": {"type": "array", "items": {"type": "string"}},
    },
]

FORM_PROBLEMS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
QUERY_PROBLEMS = (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN)


@contextmanager
def measure_callback(metrics: Metrics, route: str) -> Iterator[None]:
    """Measure the seconds until the response. Count a `Problem` as refused and every other error as failed.

    Raises the error again.
    """
    with metrics.callback_seconds.labels(route).time():
        try:
            yield
        except Problem as problem:
            metrics.callbacks.labels(route, f"refused_{problem.status.value}").inc()
            raise
        except Exception:  # a bug: the response is 500
            metrics.callbacks.labels(route, "failed_500").inc()
            raise


async def read_signed_form(request: Request) -> Pairs:
    """Read the form of a POST and verify its signature.

    Raises Problem 400, 403, 408, 413 or 415.
    """
    if media_type(request) != FORM:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send the callback as {FORM}")
    state = state_of(request)
    settings = state.runtime.settings
    body = await read_body(
        request,
        settings.max_callback_bytes,
        setting="AMD_MAX_CALLBACK_BYTES",
        timeout_s=state.time_limits.callback_body_s,
    )
    try:
        signed = signature.verify(
            settings.accounts,
            public_url=settings.public_url,
            raw_path=request.scope["raw_path"],
            query_string=request.scope["query_string"],
            form=callbacks.parse_form(body),
            headers=request.headers,
        )
    except (InvalidSignature, MalformedCallback) as error:
        raise _signature_problem(request, error) from error
    return signed.form


def read_url_tagging(request: Request, route: str) -> Tagging:
    """Read campaign and tags from the URL of a verified request. Invalid values are logged, counted and ignored."""
    tagging, ignored = callbacks.parse_tagging(request.scope["query_string"])
    if ignored:
        # The values can be personal, so only the names of the parameters are logged.
        log.warning("invalid campaign or tags in a URL, ignored", route=route, parameters=ignored, rule=NAME_RULE)
        runtime_of(request).metrics.invalid_tags.labels(route).inc()
    return tagging


def read_signed_query(request: Request) -> Pairs:
    """Read the query of a GET and verify its signature. Raises Problem 403."""
    settings = runtime_of(request).settings
    try:
        signature.verify_get(
            settings.accounts,
            settings.public_url,
            raw_path=request.scope["raw_path"],
            query_string=request.scope["query_string"],
            headers=request.headers,
        )
    except InvalidSignature as error:
        raise _signature_problem(request, error) from error
    return tuple(request.query_params.multi_items())


def _signature_problem(request: Request, error: InvalidCallback) -> Problem:
    """Log the reason. The response names a missing setting, and otherwise says only that the signature is invalid."""
    log.warning("callback refused", path=request.scope["path"], reason=str(error))
    detail = str(error) if isinstance(error, VerificationNotConfigured) else "invalid Twilio signature"
    return Problem(HTTPStatus.FORBIDDEN, detail)
