"""Places a call from the command line and follows it to its verdict."""

import asyncio
import json
from typing import Any

from rich.console import Console
from rich.markup import escape

from amd_service.calls import lookup
from amd_service.database.pool import Database
from amd_service.domain import AnalysisState, CallSid, CallStatus
from amd_service.errors import DatabaseUnavailable
from amd_service.operations.place_call import Started
from amd_service.runtime import open_call_placer
from amd_service.settings import Settings
from amd_service.telemetry import get_logger
from amd_service.twilio.call_request import CallRequest

log = get_logger(__name__)

POLL_S = 0.5
# Twilio reports a call as initiated within a second or two, unless many wait in its own queue.
SILENCE_S = 20.0

FINAL = frozenset({AnalysisState.JUDGED, AnalysisState.FAILED, AnalysisState.NOT_APPLICABLE})
SHOWN = (
    "call_sid",
    "call_status",
    "analysis_state",
    "label",
    "confidence",
    "reason",
    "twilio_answered_by",
    "answer_to_verdict_ms",
)

Row = dict[str, Any]


async def place_and_follow(
    request: CallRequest,
    settings: Settings,
    *,
    key: str | None,
    wait_s: float | None,
    as_json: bool,
) -> bool:
    """Place a call, print its CallSid and, after at most `wait_s` seconds, its verdict; whether all came that should.

    `wait_s`: None to leave it once it is placed. Raises what `CallPlacer.start` raises.
    """
    console = Console()
    async with open_call_placer(settings) as (call_placer, database):
        started = await call_placer.start(request, key)
        _print_started(started, console, as_json=as_json)
        if wait_s is None:
            return True
        row = await _follow(database, started.call_sid, wait_s, settings)
    _print_row(row, console, as_json=as_json)
    return row.get("analysis_state") == AnalysisState.JUDGED


async def _follow(database: Database, call_sid: CallSid, wait_s: float, settings: Settings) -> Row:
    """The call's row once its analysis has come to an end, or as it is when the time is up."""
    now = asyncio.get_running_loop().time
    began, warned = now(), False
    while True:
        row = await _read(database, call_sid)
        waited_s = now() - began
        if row.get("analysis_state") in FINAL:
            return row
        # Placing it left the row at `queued`: any callback would have moved it on.
        if row.get("call_status") == CallStatus.QUEUED and waited_s >= min(SILENCE_S, wait_s) and not warned:
            warned = True
            log.warning(
                "Twilio has reported nothing of this call yet: is `amd-service serve` running with this database, and "
                "does AMD_PUBLIC_URL lead to it?",
                public_url=settings.public_url,
                call_sid=call_sid,
            )
        if waited_s >= wait_s:
            return row
        await asyncio.sleep(min(POLL_S, wait_s - waited_s))


async def _read(database: Database, call_sid: CallSid) -> Row:
    try:
        async with database.transaction() as session:
            return await lookup.read_call(session, call_sid) or {"call_sid": call_sid}
    except DatabaseUnavailable as error:
        log.warning("the database is away, going on", error=str(error))
        return {"call_sid": call_sid}


def _print_started(started: Started, console: Console, *, as_json: bool) -> None:
    if as_json:
        _print_json({"call_sid": started.call_sid, "call_status": started.status, "replayed": started.replayed})
    else:
        note = "placed before, with the same key" if started.replayed else "placed"
        console.print(f"{started.call_sid}  [dim]{note}[/]", highlight=False, soft_wrap=True)


def _print_row(row: Row, console: Console, *, as_json: bool) -> None:
    if as_json:
        _print_json({name: row.get(name) for name in SHOWN})
    else:
        console.print(_for_people(row), highlight=False, soft_wrap=True)


def _print_json(line: Row) -> None:
    print(json.dumps(line), flush=True)  # noqa: T201 - the command's output


def _for_people(row: Row) -> str:
    """Like a line of `classify`, with the call in the place of the file."""
    sid, state = row["call_sid"], row.get("analysis_state")
    if state == AnalysisState.JUDGED:
        confidence = "   –" if row["confidence"] is None else f"{row['confidence']:.2f}"
        return f"{row['label']:>9}  {confidence}  {sid}  [dim]{row['reason']}[/]"
    if state == AnalysisState.NOT_APPLICABLE:
        return f"[yellow]{'nobody':>9}[/]  {sid}  {escape(str(row['call_status']))}"
    if state == AnalysisState.FAILED:
        return f"[red]{'failed':>9}[/]  {sid}  {escape(str(row['reason']))}"
    standing = f"the call is {row.get('call_status') or 'unheard of'}, its analysis {state or 'not begun'}"
    return f"[red]{'late':>9}[/]  {sid}  no verdict in time: {escape(standing)}"
