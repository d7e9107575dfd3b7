"""GET /calls/events: server-sent events with the rows of a page of the list, whenever calls have changed."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from amd_service.domain import AccessScope
from amd_service.errors import DatabaseUnavailable
from amd_service.operations import list_calls
from amd_service.operations.change_feed import ChangeFeed
from amd_service.web.authentication import principal_of, with_scope
from amd_service.web.pages.call_list import EVENTS_PATH, list_url, position_of, rows_context
from amd_service.web.pages.filter_form import call_filter_of
from amd_service.web.pages.rendering import HEADERS, templates_of
from amd_service.web.state import runtime_of, state_of

# Seconds until a stream ends. The page connects again, and the service checks again whether its reader has access.
LIFETIME_S = 600.0
# Seconds between two signs of life. The page connects again if they stay away (static/live.js).
ALIVE_S = 15
# Seconds after which a page connects again that got no slot for a stream. Such a page is updated at every connect.
BUSY_RETRY_S = 10
# Seconds for streams to end by themselves at a shutdown, before sse-starlette cancels them.
SHUTDOWN_S = 1.0

# A message of one line is half as large, and faster to read.
_LINE_BREAKS = re.compile(r"\s*\n\s*")

OUTAGE = ServerSentEvent(event="outage", data="").encode()


async def stream_calls(request: Request) -> Response:
    """GET /calls/events: one message with the rows now, and one after changes, at most four a second."""
    call_filter, position = call_filter_of(request), position_of(request)
    runtime, principal, templates = runtime_of(request), principal_of(request), templates_of(request)
    rules = runtime.rules

    async def render() -> bytes:
        page = await list_calls.read_rows(runtime.database, call_filter, rules, position)
        rows = templates.part("call_rows.html", principal, **rows_context(call_filter, rules, position, page))
        part = f'<hx-partial hx-target="#rows" hx-swap="outerMorph">{_LINE_BREAKS.sub(" ", rows)}</hx-partial>'
        return ServerSentEvent(data=part).encode()

    key = (list_url(call_filter, position), principal.sees_numbers, principal.scopes)
    return EventSourceResponse(
        _stream(request, lambda: state_of(request).shared_views.read(key, render)),
        headers=HEADERS,
        ping=ALIVE_S,
        ping_message_factory=lambda: ServerSentEvent(event="alive", data=""),
        shutdown_event=None,
        shutdown_grace_period=SHUTDOWN_S,
    )


async def _stream(request: Request, read: Callable[[], Awaitable[bytes]]) -> AsyncIterator[bytes]:
    with state_of(request).page_limiter.try_acquire() as has_slot:
        if has_slot:
            async for event in follow(state_of(request).changes, read):
                try:
                    if not await state_of(request).authentication.is_unchanged(request):
                        return
                except DatabaseUnavailable:
                    event = OUTAGE
                yield event
        else:
            yield ServerSentEvent(retry=1000 * BUSY_RETRY_S).encode()
            yield await read()


async def follow(
    feed: ChangeFeed, read: Callable[[], Awaitable[bytes]], *, lifetime_s: float = LIFETIME_S
) -> AsyncIterator[bytes]:
    """Yield what `read` returns now and after every change, if it differs. Ends with the feed or after `lifetime_s`.

    Yields OUTAGE while the database is unavailable.
    """
    ends_at = asyncio.get_running_loop().time() + lifetime_s
    async with feed.subscribe() as changed:
        last = b""
        while True:
            try:
                async with asyncio.timeout_at(ends_at):
                    await changed.wait()
            except TimeoutError:
                return
            if feed.is_closed:
                return
            changed.clear()
            try:
                event = await read()
            except DatabaseUnavailable:
                event = OUTAGE
            if event != last:
                yield event
            last = event


ROUTES = (Route(EVENTS_PATH, with_scope(AccessScope.READ, stream_calls), methods=["GET"]),)
