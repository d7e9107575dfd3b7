"""Starting calls: what is allowed, at most once a key, and never again where it is not known what became of it."""

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from secrets import token_hex
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls import call_requests, intake
from amd_service.calls.call_requests import Crowded, Earlier, Reserved
from amd_service.calls.privacy import NumberPolicy
from amd_service.calls.tables import RequestOutcome
from amd_service.database.pool import Database
from amd_service.domain import CallSid, CallStatus, StatusCallback
from amd_service.errors import (
    CredentialsRefused,
    DatabaseUnavailable,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    NotAllowed,
    OutcomeUnknown,
    RequestRefused,
    TooManyCalls,
    TwilioUnavailable,
)
from amd_service.operations.call_request import check_call_request, check_key
from amd_service.operations.masking import mask_urls
from amd_service.settings import Account, Settings
from amd_service.telemetry import Metrics, get_logger
from amd_service.twilio.rest import ApiEvent, CallRequest, RestClient

log = get_logger(__name__)

HOW_TO_FIND_OUT = (
    "it may have been placed: look into Twilio's log of calls, or run `amd-service reconcile --since 1h` and look into "
    "call_log; if it was not, ask again with another idempotency key"
)


# Orders of one process that may wait for their turn in Postgres at a time. Each holds a pooled connection meanwhile,
# and the others belong to the webhooks.
RESERVE_AT_ONCE = 2
# More orders wait in front of them, for this long at the most: a telephone must not ring long after it was asked for.
WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Started:
    """A call that was placed. `replayed`: by an earlier request with the same key; `status` is then that of now."""

    call_sid: CallSid
    status: str
    replayed: bool


class CallPlacer:
    """Places calls for one deployment: one CallPlacer a process, which bounds what placing calls takes of the database.

    Any number of processes may do so at once: what they share is in Postgres.
    """

    def __init__(self, database: Database, rest: RestClient, settings: Settings, metrics: Metrics) -> None:
        self._database = database
        self._rest = rest
        self._settings = settings
        self._metrics = metrics
        self._reserving = asyncio.Semaphore(RESERVE_AT_ONCE)

    async def start(self, order: CallRequest, account: Account, idempotency_key: str | None) -> Started:
        """Place the call, or tell which one an equal request with the same key has placed.

        Without a key every request is one of its own. Where AMD_LIVE is on, an order that does not say what the call
        plays gets our own TwiML. Raises RequestRefused and its kin (this request did nothing), DatabaseUnavailable and
        TwilioUnavailable (nothing was done, the same key may try again), OutcomeUnknown (the call may ring).

        A cancellation takes effect once it is written down what became of the call.
        """
        # Of the order as it was given: what we add to it may change between a request and its repetition.
        fingerprint = _fingerprint(order, account)
        order = self._complete(order)
        key = idempotency_key if idempotency_key is not None else f"own-{token_hex(16)}"
        try:
            check_call_request(order, self._settings)
            check_key(key)
            started = await _to_its_end(self._start(order, account, key, fingerprint))
        except Exception as error:
            outcome = _outcome(error)
            self._metrics.calls_started.labels(outcome).inc()
            # The caller knows the URL and is told Twilio's own words; the log is read by others.
            said = mask_urls(str(error), order.url)
            # What its own words ruled out is the caller's to mend; anything else is the operator's to look at.
            is_callers = isinstance(error, RequestRefused) and not isinstance(error, CredentialsRefused)
            level = logging.INFO if is_callers else logging.WARNING
            log.log(level, "order of a call", outcome=outcome, account_sid=account.account_sid, error=said)
            raise
        self._metrics.calls_started.labels("replayed" if started.replayed else "placed").inc()
        return started

    def _complete(self, order: CallRequest) -> CallRequest:
        if order.url is None and order.twiml is None and self._settings.live and self._settings.public_url:
            return replace(order, url=self._settings.callback_url("/twilio/stream.xml"))
        return order

    async def _start(self, order: CallRequest, account: Account, key: str, fingerprint: str) -> Started:
        async with self._turn(), self._database.transaction() as session:
            answer = await call_requests.reserve(
                session,
                key=key,
                fingerprint=fingerprint,
                account_sid=account.account_sid,
                per_minute=self._settings.dial_per_minute,
            )
        match answer:
            case Earlier():
                return _replay(answer, fingerprint)
            case Crowded(wait_s):
                limit = self._settings.dial_per_minute
                raise TooManyCalls(f"AMD_DIAL_PER_MINUTE allows {limit} calls a minute", retry_after_s=wait_s)
            case Reserved():
                told = await self._place(order, account, key)
                await self._record(key, told)
                return Started(told.event.call_sid, told.event.call_status, replayed=False)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(WAIT_S):
                await self._reserving.acquire()
        except TimeoutError:
            raise DatabaseUnavailable("earlier orders of calls are still waiting for Postgres") from None
        try:
            yield
        finally:
            self._reserving.release()

    async def _place(self, order: CallRequest, account: Account, key: str) -> ApiEvent[StatusCallback]:
        """Ask Twilio. No transaction is open meanwhile: only the row stands for the request."""
        try:
            return await self._rest.place_call(account, order)
        except (RequestRefused, TwilioUnavailable):
            await self._note(key, call_requests.release)
            raise
        except OutcomeUnknown as error:
            await self._note(key, call_requests.unknown)
            raise OutcomeUnknown(f"{error}; {HOW_TO_FIND_OUT}") from error
        except Exception as error:
            # An answer that cannot be read, or a fault of ours after the request was sent: the call may ring.
            log.exception("Twilio's answer to an order of a call could not be read")
            await self._note(key, call_requests.unknown)
            message = f"Twilio's answer could not be read ({type(error).__name__}); {HOW_TO_FIND_OUT}"
            raise OutcomeUnknown(message) from error
        except asyncio.CancelledError:
            # The process ends and did not wait.
            await self._note(key, call_requests.unknown)
            raise

    async def _record(self, key: str, told: ApiEvent[StatusCallback]) -> None:
        """The call's row is there from now on: for whoever asks, and for reconciliation if no callback ever comes."""

        async def record(session: AsyncSession, key: str) -> None:
            await call_requests.placed(session, key, told.event.call_sid)
            await intake.store_status(session, told.raw, told.event, NumberPolicy.from_settings(self._settings))

        await self._note(key, record)
        log.info("call placed", call_sid=told.event.call_sid, account_sid=told.event.account_sid)

    async def _note(self, key: str, write: Callable[[AsyncSession, str], Awaitable[None]]) -> None:
        """Write down what became of the request. Where that fails, the answer matters more than the row.

        The row then stays pending, which after a minute counts as unknown: the key places no second call.
        """
        try:
            async with self._database.transaction() as session:
                await write(session, key)
        except DatabaseUnavailable as error:
            log.error("what became of an order of a call could not be written down", key=key, error=str(error))


def _fingerprint(order: CallRequest, account: Account) -> str:
    """Equal for equal requests alone. Keyed: all numbers of a country are soon tried out."""
    _, secret = account.basic_auth
    asked = json.dumps([account.account_sid, asdict(order)], sort_keys=True)
    return hmac.digest(secret.encode(), asked.encode(), hashlib.sha256).hex()


def _replay(earlier: Earlier, fingerprint: str) -> Started:
    # First what is not known: whoever heard of another request would take a new key, and the telephone may ring twice.
    if earlier.outcome is RequestOutcome.PENDING:
        raise IdempotencyKeyInUse("a request with this idempotency key is under way: ask again in a moment")
    if earlier.call_sid is None:
        raise IdempotencyKeyInUse(f"what became of the call with this idempotency key is not known; {HOW_TO_FIND_OUT}")
    if not hmac.compare_digest(earlier.fingerprint, fingerprint):
        raise IdempotencyKeyReused(
            f"call {earlier.call_sid} was placed with this idempotency key, for another request or before the account's"
            " secret changed: a new request needs a new key"
        )
    return Started(earlier.call_sid, earlier.call_status or CallStatus.QUEUED, replayed=True)


def _outcome(error: Exception) -> str:
    match error:
        case NotAllowed():
            return "not_allowed"
        case TooManyCalls():
            return "too_many"
        case RequestRefused():
            return "refused"
        case OutcomeUnknown():
            return "unknown"
        case TwilioUnavailable() | DatabaseUnavailable():
            return "unavailable"
        case _:
            return "bug"


async def _to_its_end(work: Coroutine[Any, Any, Started]) -> Started:
    """Its result. Once Twilio is asked, what it did has to be written down, whoever stops waiting for it."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled() and task.exception() is None:
            log.warning("a call was placed whose caller had left", call_sid=task.result().call_sid)
        raise
