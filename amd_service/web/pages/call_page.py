"""GET /calls/{sid}: everything about one call, and the request to analyse it again."""

import hashlib
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from amd_service.calls.call_filter import filter_query
from amd_service.calls.whole_call import WholeCall
from amd_service.domain import AccessScope, CallSid, ReviewAnswer, is_sid
from amd_service.operations.deliver.redrive import redrive
from amd_service.operations.list_calls import find_neighbours
from amd_service.operations.read_call import read_whole_call
from amd_service.operations.requeue import CallRequeued, requeue_call
from amd_service.operations.review.answer import GivenAnswer, record_answer
from amd_service.web.authentication import principal_of, with_scope
from amd_service.web.pages.call_view import (
    agreement,
    callback_rows,
    describe_verdict,
    find_audio,
    why_silent,
)
from amd_service.web.pages.explanations import explain, explain_new_analysis
from amd_service.web.pages.filter_form import call_filter_of
from amd_service.web.pages.forms import read_form
from amd_service.web.pages.rendering import templates_of
from amd_service.web.pages.review_page import ANSWERS
from amd_service.web.problems import Problem
from amd_service.web.state import runtime_of

PATH = "/calls/{sid}"


async def show_call(request: Request) -> Response:
    """GET /calls/{sid}: the page. A query string is the filter of the list that the reader came from."""
    whole = await _read(request)
    query = filter_query(call_filter_of(request))
    return templates_of(request).page(request, "call.html", query=query, **_context(request, whole))


async def show_parts(request: Request) -> Response:
    """GET /calls/{sid}/parts: the page without its frame and player. 204 if `seen` is the version of the call."""
    whole = await _read(request)
    if request.query_params.get("seen") == version_of(whole):
        return Response(status_code=HTTPStatus.NO_CONTENT)
    return templates_of(request).page(request, "call_parts.html", **_context(request, whole))


async def show_neighbours(request: Request) -> Response:
    """GET /calls/{sid}/neighbours: links to the calls before and after this one in the filtered list."""
    call_filter = call_filter_of(request)
    runtime = runtime_of(request)
    rules = runtime.rules
    found = await find_neighbours(runtime.database, call_filter, rules, _call_sid(request))
    return templates_of(request).page(request, "call_neighbours.html", found=found, query=filter_query(call_filter))


async def analyse_again(request: Request) -> Response:
    """POST /calls/{sid}/analysis: queue the recordings of the call for a new model run."""
    call_sid = _call_sid(request)
    requeued = await requeue_call(runtime_of(request).database, call_sid)
    whole = await _read(request)
    message = _describe_requeued(requeued)
    return templates_of(request).page(request, "call_parts.html", **_context(request, whole, message))


async def redrive_events(request: Request) -> Response:
    """POST /calls/{sid}/deliveries: send the dead events of the call again."""
    count = await redrive(runtime_of(request).database, call_sid=_call_sid(request))
    message = f"{count} dead events are queued again." if count else "The call has no dead event."
    return templates_of(request).page(request, "call_parts.html", **_context(request, await _read(request), message))


async def answer(request: Request) -> Response:
    """POST /calls/{sid}/answers: record what the person heard. The verdict stays."""
    form, runtime = await read_form(request), runtime_of(request)
    call_sid, value, seen = _call_sid(request), form.get("answer", ""), form.get("seen", "")
    if value not in set(ReviewAnswer) or not seen.isdecimal() or len(seen) > 18:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the form is incomplete: load the page again")
    given = GivenAnswer(
        call_sid, principal_of(request).name, ReviewAnswer(value), note="", seen=int(seen), from_queue=False
    )
    recorded = await record_answer(
        runtime.database,
        runtime.plan,
        given,
        annotates=runtime.settings.annotate_calls,
    )
    whole = await _read(request)
    if recorded is None:
        raise Problem(HTTPStatus.CONFLICT, "the call has no verdict yet, so there is nothing to correct")
    message = f"Saved: {dict(ANSWERS)[ReviewAnswer(recorded.review.answer)]}. The list shows it beside the verdict."
    return templates_of(request).page(request, "call_parts.html", **_context(request, whole, message))


def version_of(whole: WholeCall) -> str:
    """Return a text that changes whenever the page of the call would show something else."""
    rows = [whole.call.updated_at, *(each.updated_at for each in whole.recordings)]
    # A heartbeat changes the end of the lease, which the page does not show.
    sent = [
        (each.id, each.state, each.attempts, each.last_status, each.last_error, each.locked_by or each.available_at)
        for each in whole.deliveries
    ]
    if (each := whole.annotation) is not None:
        waits = each.locked_by or each.available_at
        sent.append((each.version, each.state, each.attempts, None, each.last_error, waits))
    groups = (whole.runs, whole.shadow_runs, whole.callbacks, whole.reviews)
    counts = [each.id for group in groups for each in group[-1:]]
    return hashlib.sha256(repr((rows, counts, sent)).encode()).hexdigest()[:16]


def _call_sid(request: Request) -> CallSid:
    given = request.path_params["sid"]
    if not is_sid(given, "CA"):
        detail = f"{given[:50]!r} is not a CallSid: a CallSid is CA followed by 32 hexadecimal digits"
        raise Problem(HTTPStatus.NOT_FOUND, detail)
    return CallSid(given)


async def _read(request: Request) -> WholeCall:
    call_sid = _call_sid(request)
    whole = await read_whole_call(runtime_of(request).database, call_sid)
    if whole is None:
        detail = (
            f"this service does not know the call {call_sid}: no callback about it has arrived. Check that its "
            "StatusCallback or RecordingStatusCallback leads to this service"
        )
        raise Problem(HTTPStatus.NOT_FOUND, detail)
    return whole


def _context(request: Request, whole: WholeCall, message: str | None = None) -> dict[str, Any]:
    principal, call = principal_of(request), whole.call
    accounts = runtime_of(request).settings.accounts
    base = f"{templates_of(request).root}/calls/{call.call_sid}"
    return {
        "whole": whole,
        "call": call,
        "base": base,
        "version": version_of(whole),
        "explanation": explain(whole),
        "new_analysis": explain_new_analysis(whole),
        "message": message,
        "audio": find_audio(whole, request.query_params.get("recording"), accounts, f"{base}/audio"),
        "why_silent": why_silent(whole),
        "agreement": agreement(call.label, call.twilio_answered_by),
        "callbacks": callback_rows(whole, principal),
        "is_sending": any(
            each.state == "running" or (each.state == "queued" and not each.attempts) for each in whole.sent
        ),
        "answers": ANSWERS,
        "own": next((each for each in reversed(whole.reviews) if each.reviewer == principal.name), None),
        "may_review": AccessScope.REVIEW in principal.scopes,
        "may_redrive": AccessScope.ADMIN in principal.scopes and any(each.state == "dead" for each in whole.deliveries),
        **describe_verdict(whole),
    }


def _describe_requeued(requeued: CallRequeued) -> str:
    if requeued.requeued:
        count = "The recording is" if requeued.requeued == 1 else f"{requeued.requeued} recordings are"
        return (
            f"{count} queued. A worker runs the model again, and this page then shows the new run beside the old one."
        )
    return f"Nothing can be analysed again: {requeued.refusal}."


ROUTES = (
    Route(PATH, with_scope(AccessScope.READ, show_call), methods=["GET"]),
    Route(f"{PATH}/parts", with_scope(AccessScope.READ, show_parts), methods=["GET"]),
    Route(f"{PATH}/neighbours", with_scope(AccessScope.READ, show_neighbours), methods=["GET"]),
    Route(f"{PATH}/answers", with_scope(AccessScope.REVIEW, answer), methods=["POST"]),
    Route(f"{PATH}/deliveries", with_scope(AccessScope.ADMIN, redrive_events), methods=["POST"]),
    Route(f"{PATH}/analysis", with_scope(AccessScope.REVIEW, analyse_again), methods=["POST"]),
)
