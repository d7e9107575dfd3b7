"""/review: one call at a time. The page of an unanswered call contains no verdict: neither ours nor Twilio's."""

from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from amd_service.calls.review_sample import MAX_COUNTED
from amd_service.domain import AccessScope, CallSid, ReviewAnswer, ReviewQueue, is_sid
from amd_service.operations.review.answer import MAX_NOTE_LENGTH, GivenAnswer, RecordedAnswer, record_answer
from amd_service.operations.review.review_queues import ReviewTask, answered_call, count_queues, next_call
from amd_service.telemetry import get_logger
from amd_service.web.authentication import principal_of, with_scope
from amd_service.web.pages.forms import read_form
from amd_service.web.pages.rendering import templates_of
from amd_service.web.problems import Problem
from amd_service.web.state import runtime_of, state_of

log = get_logger(__name__)

# The keys 1 to 5 give these answers, in this order.
ANSWERS = (
    (ReviewAnswer.HUMAN, "Human"),
    (ReviewAnswer.VOICEMAIL, "Voicemail"),
    (ReviewAnswer.SCREENING, "Screening"),
    (ReviewAnswer.OTHER, "Other"),
    (ReviewAnswer.CANNOT_TELL, "Cannot tell"),
)
QUEUES = (
    (ReviewQueue.RANDOM, "Random sample"),
    (ReviewQueue.DISAGREEMENT, "Disagreement with Twilio"),
    (ReviewQueue.LOW_CONFIDENCE, "Low confidence"),
    (ReviewQueue.UNDECIDED, "Undecided"),
    (ReviewQueue.SECOND, "Second opinion"),
    (ReviewQueue.RECHECK, "Check again"),
)


async def show_review(request: Request) -> Response:
    """GET /review: the next call of a queue. `call`: a call that the person has answered, to correct the answer."""
    queue = _queue(request.query_params.get("queue", ""))
    call_sid = request.query_params.get("call", "")
    task = None
    if is_sid(call_sid, "CA"):
        database, reviewer = runtime_of(request).database, principal_of(request).name
        task = await answered_call(database, CallSid(call_sid), reviewer)
    return await _respond(request, queue, task=task)


async def answer(request: Request) -> Response:
    """POST /review/answers: record an answer. Responds with the verdict of this call, and with the next call."""
    form = await read_form(request)
    queue = _queue(form.get("queue", ""))
    runtime, reviewer = runtime_of(request), principal_of(request).name
    given = _given(form, reviewer)
    recorded = await record_answer(
        runtime.database,
        runtime.plan,
        given,
        annotates=runtime.settings.annotate_calls,
    )
    if recorded is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"the call {given.call_sid} has no verdict: load the page again")
    return await _respond(request, queue, recorded=recorded)


async def skip(request: Request) -> Response:
    """POST /review/skips: leave a call out for an hour, without a row. Responds with the next call."""
    form = await read_form(request)
    call_sid, reviewer = form.get("call", ""), principal_of(request).name
    if not is_sid(call_sid, "CA"):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"there is no call {call_sid[:50]!r}: load the page again")
    state_of(request).open_calls.skip(call_sid, reviewer)
    reason = "cannot listen" if form.get("reason") == "cannot_listen" else "skipped"
    log.info("review skipped", call_sid=call_sid, reviewer=reviewer, reason=reason)
    return await _respond(request, _queue(form.get("queue", "")))


async def _respond(
    request: Request, queue: ReviewQueue, *, task: ReviewTask | None = None, recorded: RecordedAnswer | None = None
) -> Response:
    """Render a call of the queue: the whole page, or for htmx the changing part. Without `task`: the next call."""
    if request.method == "POST" and "hx-request" not in request.headers:
        url = f"{templates_of(request).root}/review?{urlencode({'queue': queue})}"
        return RedirectResponse(url, status_code=HTTPStatus.SEE_OTHER)
    runtime, reviewer = runtime_of(request), principal_of(request).name
    plan = runtime.plan
    if task is None:
        task = await next_call(runtime.database, plan, state_of(request).open_calls, queue, reviewer)
    return templates_of(request).page(
        request,
        "review_part.html" if "hx-request" in request.headers else "review.html",
        queues=QUEUES,
        queue=queue,
        answers=ANSWERS,
        counts=await count_queues(runtime.database, plan, queue, reviewer),
        max_counted=MAX_COUNTED,
        max_note_length=MAX_NOTE_LENGTH,
        plan=plan,
        task=task,
        sources=_sources(request, task) if task else [],
        recorded=recorded,
        names=dict(ANSWERS),
    )


def _sources(request: Request, task: ReviewTask) -> list[dict[str, Any]]:
    """Return what the player can play: the called party first, if the recording has a channel of its own for it."""
    url = f"{templates_of(request).root}/calls/{task.call.call_sid}/audio/{task.recording.recording_sid}"
    if task.channel is None or task.recording.channels != 2:
        return [{"name": "Recording", "url": url}]
    return [
        {"name": "Called party", "url": f"{url}?channel={task.channel}"},
        {"name": "Caller", "url": f"{url}?channel={3 - task.channel}"},
        {"name": "Both", "url": url},
    ]


def _queue(value: str) -> ReviewQueue:
    return ReviewQueue(value) if value in set(ReviewQueue) else ReviewQueue.RANDOM


def _given(form: dict[str, str], reviewer: str) -> GivenAnswer:
    call_sid, value, seen = form.get("call", ""), form.get("answer", ""), form.get("seen", "")
    if not is_sid(call_sid, "CA") or value not in set(ReviewAnswer) or not seen.isdecimal() or len(seen) > 18:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the form is incomplete: load the page again")
    return GivenAnswer(
        CallSid(call_sid),
        reviewer,
        ReviewAnswer(value),
        note=form.get("note", ""),
        seen=int(seen),
        # The model has chosen the calls to check again, so their answers must count for no error rate.
        from_queue=form.get("queue", "") in set(ReviewQueue) - {ReviewQueue.RECHECK},
    )


ROUTES = (
    Route("/review", with_scope(AccessScope.REVIEW, show_review), methods=["GET"]),
    Route("/review/answers", with_scope(AccessScope.REVIEW, answer), methods=["POST"]),
    Route("/review/skips", with_scope(AccessScope.REVIEW, skip), methods=["POST"]),
)
