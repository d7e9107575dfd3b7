"""Calls of an invented day, the same in every run, for screenshots."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from amd_service.calls.tables import CallLog
from amd_service.database.pool import Database
from tests.support.sids import ACCOUNT

DAY_BEGAN = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
CALLS = 480
CAMPAIGNS = ("renewals", "spring-offer", "appointments")

# Share of the calls, and the columns in common. The numbers with +1 500 belong to nobody.
KINDS: tuple[tuple[float, dict[str, Any]], ...] = (
    (0.44, {"analysis_state": "judged", "label": "human", "reason": "confident"}),
    (0.38, {"analysis_state": "judged", "label": "voicemail", "reason": "confident"}),
    (0.03, {"analysis_state": "judged", "label": "undecided", "reason": "low_confidence"}),
    (0.01, {"analysis_state": "judged", "label": "undecided", "reason": "no_speech"}),
    (0.02, {"analysis_state": "failed", "reason": "media_missing"}),
    (0.12, {"analysis_state": "not_applicable"}),
)


async def store_example_calls(database: Database) -> None:
    """Write CALLS calls to `call_log`. Their SIDs begin with `CA0`."""
    chosen = random.Random(2026)
    async with database.transaction() as session:
        session.add_all([_call(number, chosen) for number in range(CALLS)])


def _call(number: int, chosen: random.Random) -> CallLog:
    began = DAY_BEGAN + timedelta(seconds=75 * number + chosen.randrange(60))
    [kind] = chosen.choices([columns for _, columns in KINDS], [share for share, _ in KINDS])
    columns: dict[str, Any] = {
        "campaign": CAMPAIGNS[number % 3],
        "tags": ["callback"] if chosen.random() < 0.1 else [],
        "to_number": f"+1500555{chosen.randrange(10_000):04d}",
        "from_number": "+15005550006",
        "direction": "outbound-api",
        "created_at": began,
        "started_at": began,
        **kind,
    }
    if kind["analysis_state"] == "not_applicable":
        columns["call_status"] = chosen.choice(("no-answer", "busy"))
    else:
        duration_s = chosen.randrange(6, 90)
        answered_at = began + timedelta(seconds=chosen.randrange(4, 20))
        ended_at = answered_at + timedelta(seconds=duration_s)
        columns |= {"answered_at": answered_at, "ended_at": ended_at, "duration_s": duration_s}
        columns["call_status"] = "completed"
        columns["twilio_answered_by"] = _answer_of_twilio(str(kind.get("label")), chosen)
        columns["twilio_amd_ms"] = chosen.randrange(1800, 4200)
    if kind["analysis_state"] == "judged":
        columns |= _verdict(columns, chosen)
    return CallLog(call_sid=f"CA{0:08x}{chosen.getrandbits(96):024x}", account_sid=ACCOUNT, **columns)


def _verdict(columns: dict[str, Any], chosen: random.Random) -> dict[str, Any]:
    verdict_ms = chosen.randrange(700, 2600)
    confidence = {"confident": 1 - chosen.random() ** 3 * 0.2, "low_confidence": 0.5 + chosen.random() * 0.2}
    return {
        "confidence": confidence.get(columns["reason"]),
        "model_id": "amd-demo",
        "verdict_source": "recording",
        "verdict_at": columns["ended_at"] + timedelta(milliseconds=verdict_ms),
        "verdict_ms": verdict_ms,
    }


def _answer_of_twilio(label: str, chosen: random.Random) -> str:
    """Twilio's detection has the same result for nine calls of ten."""
    answers = {"human": ("human", "machine_start"), "voicemail": ("machine_start", "human")}
    usual, other = answers.get(label, ("unknown", "unknown"))
    return usual if chosen.random() < 0.9 else other
