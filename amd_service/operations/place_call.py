"""Places calls, at most one per idempotency key. A request whose outcome is unknown is never sent again."""

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls import call_requests, intake
from amd_service.calls.call_requests import EarlierRequest, RateLimited, Reserved
from amd_service.calls.number_policy import NumberPolicy
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
from amd_service.operations.dial_policy import DialPolicy, require_valid_key
from amd_service.operations.masking import mask_urls
from amd_service.settings import Account
from amd_service.telemetry import Metrics, get_logger
from amd_service.twilio.call_request import CallRequest
from amd_service.twilio.rest import ApiEvent, RestClient

log = get_logger(__name__)

HOW_TO_FIND_OUT = (
    "the call may have been placed: look at the calls in Twilio's console, or run `amd-service reconcile --since 1h` "
    "and look at call_log; if the call is not there, send the request again with a new idempotency key"
)

# Maximum number of call requests of one process that reserve their keys at once. Each of them holds a pooled connection
# while it waits for Postgres, and the webhooks need the other connections.
RESERVE_AT_ONCE = 2
# Maximum number of seconds that a further request waits for one of these slots. After that the request is refused, so
# that no telephone rings long after the request.
RESERVE_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Started:
    """A call that was placed. `status`: its current CallStatus.

    `replayed`: an earlier request with the same idempotency key placed the call.
    """

    call_sid: CallSid
    status: str
    replayed: bool


class CallPlacer:
    """Places calls.

    Use one call placer per process: the call placer limits the database connections that call requests hold.

    Any number of processes may place calls at once. The limits that apply to all processes together are stored in
    Postgres.

    `reserve_wait_s`: maximum number of seconds that a request waits for a reservation slot.
    """

    def __init__(
        self,
        *,
        database: Database,
        rest: RestClient,
        policy: DialPolicy,
        numbers: NumberPolicy,
        metrics: Metrics,
        reserve_wait_s: float = RESERVE_WAIT_S,
    ) -> None:
        self._database = database
        self._rest = rest
        self._policy = policy
        self._numbers = numbers
        self._metrics = metrics
        self._reserve_wait_s = reserve_wait_s
        self._reserving = asyncio.Semaphore(RESERVE_AT_ONCE)

    async def start(self, request: CallRequest, idempotency_key: str | None) -> Started:
        """Place the call, or return the call that an equal request with the same key has placed.

        Without a key every request places a new call. A cancellation takes effect only after the outcome is stored.

        Raises RequestRefused and its subclasses (this request did nothing), DatabaseUnavailable and TwilioUnavailable
        (nothing was done, so the same key may be used again), and OutcomeUnknown (the telephone may ring).
        """
        account = self._policy.choose_account(request.account_sid)
        # Computed before our TwiML is added, because our TwiML may change between a request and its repetition.
        fingerprint = _fingerprint(request, account)
        request = self._policy.with_default_twiml(request)
        key = idempotency_key if idempotency_key is not None else f"own-{token_hex(16)}"
        try:
            self._policy.require_allowed(request)
            require_valid_key(key)
            started = await _finish_despite_cancellation(self._start(request, account, key, fingerprint))
        except Exception as error:
            self._report_failure(error, request, account)
            raise
        self._count("replayed" if started.replayed else "placed", request.campaign)
        return started

    def report_invalid(self, reason: str) -> None:
        """Count and log a request that was refused before it became a `CallRequest`."""
        self._count("refused", None)
        log.info("call request failed", outcome="refused", error=mask_urls(reason))

    def _count(self, outcome: str, campaign: str | None) -> None:
        self._metrics.calls_started.labels(outcome, self._metrics.campaign_label(campaign)).inc()

    def _report_failure(self, error: Exception, request: CallRequest, account: Account) -> None:
        outcome = _outcome(error)
        self._count(outcome, request.campaign)
        # The caller gets Twilio's message unchanged because the caller sent the URL. In the log the URL is masked,
        # because other people read the log.
        masked = mask_urls(str(error), request.url)
        # The caller can correct a refused request. All other errors concern the operator.
        is_callers = isinstance(error, RequestRefused) and not isinstance(error, CredentialsRefused)
        level = logging.INFO if is_callers else logging.WARNING
        log.log(level, "call request failed", outcome=outcome, account_sid=account.account_sid, error=masked)

    async def _start(self, request: CallRequest, account: Account, key: str, fingerprint: str) -> Started:
        per_minute = self._policy.per_minute
        async with self._reservation_slot(), self._database.transaction() as session:
            answer = await call_requests.reserve(
                session, key=key, fingerprint=fingerprint, account_sid=account.account_sid, per_minute=per_minute
            )
        match answer:
            case EarlierRequest():
                return _replay(answer, fingerprint)
            case RateLimited(wait_s):
                raise TooManyCalls(f"AMD_DIAL_PER_MINUTE allows {per_minute} calls a minute", retry_after_s=wait_s)
            case Reserved():
                placed = await self._place(request, account, key)
                await self._store_placed_call(key, placed)
                return Started(placed.event.call_sid, placed.event.call_status, replayed=False)

    @asynccontextmanager
    async def _reservation_slot(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._reserve_wait_s):
                await self._reserving.acquire()
        except TimeoutError:
            raise DatabaseUnavailable("earlier call requests are still waiting for Postgres: retry later") from None
        try:
            yield
        finally:
            self._reserving.release()

    async def _place(self, request: CallRequest, account: Account, key: str) -> ApiEvent[StatusCallback]:
        """Send the request to Twilio. No transaction is open during the request; the stored row reserves the key."""
        try:
            return await self._rest.place_call(account, request)
        except (RequestRefused, TwilioUnavailable):
            await self._store_outcome(key, call_requests.release)
            raise
        except OutcomeUnknown as error:
            await self._store_outcome(key, call_requests.record_unknown)
            raise OutcomeUnknown(f"{error}; {HOW_TO_FIND_OUT}") from error
        except Exception as error:
            # Twilio's response cannot be read, or our code failed after the request was sent: the telephone may ring.
            log.exception("unreadable response to a call request")
            await self._store_outcome(key, call_requests.record_unknown)
            message = f"Twilio's response is unreadable ({type(error).__name__}); {HOW_TO_FIND_OUT}"
            raise OutcomeUnknown(message) from error
        except asyncio.CancelledError:
            # The process is ending and cannot wait for the response, so the outcome is unknown.
            await self._store_outcome(key, call_requests.record_unknown)
            raise

    async def _store_placed_call(self, key: str, placed: ApiEvent[StatusCallback]) -> None:
        """Create the call's row.

        Clients can read the row immediately. Reconciliation finds the call without a callback.
        """

        async def store(session: AsyncSession, key: str) -> None:
            await call_requests.record_placed(session, key, placed.event.call_sid)
            await intake.store(session, placed.raw, placed.event, self._numbers)

        await self._store_outcome(key, store)
        log.info("call placed", call_sid=placed.event.call_sid, account_sid=placed.event.account_sid)

    async def _store_outcome(self, key: str, write: Callable[[AsyncSession, str], Awaitable[None]]) -> None:
        """Store the outcome of the request. A database outage is only logged, because the caller needs the response.

        After an outage the row stays pending. After a minute a pending row counts as unknown, so the same key places no
        second call.
        """
        try:
            async with self._database.transaction() as session:
                await write(session, key)
        except DatabaseUnavailable as error:
            log.error("outcome of a call request not stored", key=key, error=str(error))


def _fingerprint(request: CallRequest, account: Account) -> str:
    """Return a hash of the request, keyed by the account's secret. Equal requests have equal hashes.

    A hash without a key would reveal the phone number, because an attacker can try all possible numbers.
    """
    _, secret = account.basic_auth
    fields = request.model_dump(exclude={"account_sid"})
    # Without a campaign and tags the hash must stay what it was in versions without them: a client can repeat a request
    # after an update.
    for name in ("campaign", "tags"):
        if not fields[name]:
            del fields[name]
    text = json.dumps([account.account_sid, fields], sort_keys=True)
    return hmac.digest(secret.encode(), text.encode(), hashlib.sha256).hex()


def _replay(earlier: EarlierRequest, fingerprint: str) -> Started:
    # An unknown outcome is reported before a different request: after IdempotencyKeyReused the caller would use a new
    # key, and the telephone might ring twice.
    if earlier.outcome is RequestOutcome.PENDING:
        raise IdempotencyKeyInUse(
            "a request with this idempotency key is running: send the same request again in a few seconds"
        )
    if earlier.call_sid is None:
        raise IdempotencyKeyInUse(f"the outcome of the request with this idempotency key is unknown; {HOW_TO_FIND_OUT}")
    if not hmac.compare_digest(earlier.fingerprint, fingerprint):
        raise IdempotencyKeyReused(
            f"this idempotency key has placed call {earlier.call_sid}; now the request is different, or the account's "
            "secret has changed: use a new key for a new call"
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


async def _finish_despite_cancellation(work: Coroutine[Any, Any, Started]) -> Started:
    """Return the result of `work`. A cancellation waits until `work` ends, so that the outcome is always stored."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled() and task.exception() is None:
            log.warning("call placed after its caller disconnected", call_sid=task.result().call_sid)
        raise
