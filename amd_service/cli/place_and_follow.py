"""Places one call and waits for its verdict."""

import asyncio
import json
from typing import Any

from rich.console import Console
from rich.markup import escape

from amd_service.database.pool import Database
from amd_service.domain import AnalysisState, CallSid, CallStatus
from amd_service.errors import DatabaseUnavailable
from amd_service.operations.place_call import Started
from amd_service.operations.read_call import read_call
from amd_service.runtime import build_dial_policy, open_call_placer
from amd_service.settings import Settings
from amd_service.telemetry import get_logger
from amd_service.twilio.call_request import CallRequest

log = get_logger(__name__)

POLL_S = 0.5
# Seconds without a callback after which a warning is logged. Twilio usually reports a call as initiated within 2 s, and
# later only if many calls wait in Twilio's queue.
SILENCE_S = 20.0

FINAL = frozenset({AnalysisState.JUDGED, AnalysisState.FAILED, AnalysisState.NOT_APPLICABLE})
PRINTED = (
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
    """Place a call and print its CallSid, then wait for the verdict and print the verdict.

    `wait_s`: maximum seconds to wait for the verdict; None returns as soon as the call is placed. Returns False if the
    verdict does not arrive in time. Raises the errors of `CallPlacer.start`.
    """
    console = Console()
    build_dial_policy(settings).choose_account(request.account_sid)  # raise before a database is created
    async with open_call_placer(settings) as (call_placer, database):
        started = await call_placer.start(request, key)
        _print_started(started, console, as_json=as_json)
        if wait_s is None:
            return True
        row = await _follow(database, started.call_sid, wait_s, settings)
    _print_row(row, console, as_json=as_json)
    return row.get("analysis_state") == AnalysisState.JUDGED


async def _follow(database: Database, call_sid: CallSid, wait_s: float, settings: Settings) -> Row:
    """Return the call's row once its analysis has ended, or the current row after `wait_s` seconds."""
    now = asyncio.get_running_loop().time
    began, warned = now(), False
    while True:
        row = await _read(database, call_sid)
        waited_s = now() - began
        if row.get("analysis_state") in FINAL:
            return row
        # The status is still `queued`, as when the call was placed, so no callback has arrived.
        if row.get("call_status") == CallStatus.QUEUED and waited_s >= min(SILENCE_S, wait_s) and not warned:
            warned = True
            log.warning(
                "no callback for this call yet: check that `amd-service serve` runs with this database and that "
                "AMD_PUBLIC_URL is the address of that process",
                public_url=settings.public_url,
                call_sid=call_sid,
            )
        if waited_s >= wait_s:
            if row.get("analysis_state") == AnalysisState.QUEUED:
                log.warning(
                    "no worker is ready: the recording waits in the queue; check that a worker runs, and read the "
                    "reason at /ready/classifier",
                    url=f"{settings.local_url}/ready/classifier",
                )
            return row
        await asyncio.sleep(min(POLL_S, wait_s - waited_s))


async def _read(database: Database, call_sid: CallSid) -> Row:
    try:
        return await read_call(database, call_sid) or {"call_sid": call_sid}
    except DatabaseUnavailable as error:
        log.warning("database unavailable, polling continues", error=str(error))
        return {"call_sid": call_sid}


def _print_started(started: Started, console: Console, *, as_json: bool) -> None:
    if as_json:
        _print_json({"call_sid": started.call_sid, "call_status": started.status, "replayed": started.replayed})
    else:
        note = "already placed with this key" if started.replayed else "placed"
        console.print(f"{started.call_sid}  [dim]{note}[/]", highlight=False, soft_wrap=True)


def _print_row(row: Row, console: Console, *, as_json: bool) -> None:
    if as_json:
        _print_json({name: row.get(name) for name in PRINTED})
    else:
        console.print(_readable_line(row), highlight=False, soft_wrap=True)


def _print_json(line: Row) -> None:
    print(json.dumps(line), flush=True)  # noqa: T201 - the command's output


def _readable_line(row: Row) -> str:
    """Return a line with the columns of `classify`, but with the CallSid instead of the file."""
    sid, state = row["call_sid"], row.get("analysis_state")
    if state == AnalysisState.JUDGED:
        confidence = "   –" if row["confidence"] is None else f"{row['confidence']:.2f}"
        return f"{row['label']:>9}  {confidence}  {sid}  [dim]{row['reason']}[/]"
    if state == AnalysisState.NOT_APPLICABLE:
        return f"[yellow]{'nobody':>9}[/]  {sid}  {escape(str(row['call_status']))}"
    if state == AnalysisState.FAILED:
        return f"[red]{'failed':>9}[/]  {sid}  {escape(str(row['reason']))}"
    progress = f"call status {row.get('call_status') or 'unknown'}, analysis {state or 'not started'}"
    return f"[red]{'late':>9}[/]  {sid}  no verdict in time: {escape(progress)}"
