"""Stores callbacks. Storing a callback twice changes nothing.

A webhook puts its callbacks into the inbox, and `folding` updates the rows of their calls and recordings later. All
other callers store and fold a callback in one transaction.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls import facts
from amd_service.calls.call_tagging import tagging_to_json
from amd_service.calls.folding import Unfolded, fold
from amd_service.calls.known_values import unknown_values
from amd_service.calls.number_policy import NumberPolicy
from amd_service.calls.storable import LARGEST_INTEGER, storable
from amd_service.domain import (
    STREAM_ROUTE,
    AccountSid,
    AmdCallback,
    CallSid,
    RawCallback,
    RecordingCallback,
    StatusCallback,
    StreamSid,
    Tagging,
)
from amd_service.telemetry import get_logger

Event = StatusCallback | RecordingCallback | AmdCallback

log = get_logger(__name__)

# One parameter holds all rows, so that Postgres and the driver handle one short statement for any number of callbacks.
# The statement touches no row of a call or recording, so a lock on these tables cannot delay it. A concurrent duplicate
# waits until the first transaction commits.
_INSERT = text("""
    with received as (
        select * from jsonb_to_recordset(cast(:rows as jsonb)) as received (
            sha256 text, route text, call_sid text, recording_sid text, account_sid text, parameters jsonb, facts jsonb,
            idempotency_token text, traceparent text)
    ), stored as (
        insert into callback
            (sha256, route, call_sid, recording_sid, account_sid, parameters, facts, idempotency_token)
        select sha256, route, call_sid, recording_sid, account_sid, parameters, facts, idempotency_token from received
        on conflict do nothing
        returning id, sha256, received_at
    ), waiting as (
        insert into inbox (callback_id, call_sid, account_sid, recording_sid, traceparent)
        select id, call_sid, account_sid, recording_sid, traceparent from stored join received using (sha256)
         where call_sid is not null and :into_inbox
    )
    select sha256, id, received_at from stored
""")


@dataclass(frozen=True, slots=True)
class NewCallback:
    """A callback in the form in which it is stored: a row of `callback`, and the span of its request."""

    sha256: str
    route: str
    call_sid: str | None
    recording_sid: str | None
    account_sid: str
    parameters: list[list[str]]
    facts: dict[str, Any]
    idempotency_token: str | None
    traceparent: str | None


def new_callback(raw: RawCallback, event: Event, policy: NumberPolicy) -> NewCallback:
    """Apply the number policy, and return the callback in the form in which it is stored."""
    raw, event = policy.redact_request(raw), policy.redact_event(event)
    recording_sid = event.recording_sid if isinstance(event, RecordingCallback) else None
    return _new_row(raw, event.call_sid, event.account_sid, recording_sid, facts.to_json(event))


async def put_into_inbox(session: AsyncSession, callbacks: Sequence[NewCallback]) -> set[str]:
    """Store callbacks with different fingerprints, to be folded later. Returns the fingerprints of the new ones.

    A conference recording that names no call is only stored, because the speakers are not known.
    """
    return {row.sha256 for row in await _insert(session, callbacks, into_inbox=True)}


async def store(session: AsyncSession, raw: RawCallback, event: Event, policy: NumberPolicy) -> bool:
    """Store a callback and update the rows of its call and recording. Returns False for a duplicate."""
    is_new = await _store_and_fold(session, new_callback(raw, event, policy))
    if is_new:
        warn_of_unusual_values(event)
    return is_new


async def store_stream_tagging(
    session: AsyncSession, call_sid: CallSid, account_sid: AccountSid, stream_sid: StreamSid, tagging: Tagging
) -> None:
    """Store campaign and tags of a live stream like a callback, and write them onto the row of its call."""
    if not tagging.is_empty:
        raw = RawCallback(STREAM_ROUTE, (("StreamSid", stream_sid),), tagging=tagging)
        await _store_and_fold(session, _new_row(raw, call_sid, account_sid, None, {}))


def warn_of_unusual_values(event: Event) -> None:
    """Log values of a new callback that Twilio does not document, and a recording that names no call."""
    if event.call_sid is None:
        conference_sid = event.conference_sid if isinstance(event, RecordingCallback) else None
        log.warning("conference recording without a call, not judged", conference_sid=conference_sid)
    for parameter, value in unknown_values(event).items():
        log.warning("unknown value, kept", parameter=parameter, value=value, call_sid=event.call_sid)


def fingerprint(raw: RawCallback) -> str:
    """Return the SHA-256, in hex, of the route, the sorted decoded parameters, and campaign and tags if there are any.

    Campaign and tags are included because the same form can arrive at URLs with and without them. Were the second of
    these callbacks a duplicate, the call's campaign would depend on their order of arrival.
    """
    tagging = [] if raw.tagging.is_empty else [raw.tagging.pairs]
    return hashlib.sha256(json.dumps([raw.route, sorted(raw.parameters), *tagging]).encode()).hexdigest()


async def _store_and_fold(session: AsyncSession, callback: NewCallback) -> bool:
    stored = await _insert(session, [callback], into_inbox=False)
    if stored and callback.call_sid is not None:
        unfolded = Unfolded(
            callback_id=stored[0].id,
            call_sid=callback.call_sid,
            account_sid=callback.account_sid,
            recording_sid=callback.recording_sid,
            traceparent=callback.traceparent,
            received_at=stored[0].received_at,
        )
        await fold(session, [unfolded])
    return bool(stored)


async def _insert(session: AsyncSession, callbacks: Sequence[NewCallback], *, into_inbox: bool) -> Sequence[Any]:
    """Insert callbacks in order of arrival. Returns fingerprint, id and time of the new ones."""
    # `asdict` would copy every parameter.
    rows = json.dumps([{name: getattr(each, name) for name in NewCallback.__slots__} for each in callbacks])
    return (await session.execute(_INSERT, {"rows": rows, "into_inbox": into_inbox})).all()


def _new_row(
    raw: RawCallback, call_sid: str | None, account_sid: str, recording_sid: str | None, values: Mapping[str, Any]
) -> NewCallback:
    return NewCallback(
        sha256=fingerprint(raw),
        route=raw.route,
        call_sid=call_sid,
        recording_sid=recording_sid,
        account_sid=account_sid,
        parameters=[[storable(name), storable(value)] for name, value in raw.parameters],
        facts=_storable_facts(values) | tagging_to_json(raw.tagging),
        idempotency_token=None if raw.idempotency_token is None else storable(raw.idempotency_token),
        traceparent=raw.traceparent,
    )


def _storable_facts(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that fit their columns.

    Numbers that are too large for an integer column are invalid, so they are dropped.
    """
    return {
        key: storable(value) if isinstance(value, str) else value
        for key, value in values.items()
        if not isinstance(value, int) or abs(value) <= LARGEST_INTEGER
    }
