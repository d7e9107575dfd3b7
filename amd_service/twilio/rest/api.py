"""What we ask of Twilio's REST API: place a call, change it, list calls and recordings, delete a recording."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Generic, TypeVar

import httpx2
from twilio.base.exceptions import TwilioException
from twilio.rest import Client
from twilio.rest.api.v2010.account.call import CallInstance

from amd_service.domain import (
    REST_ROUTE,
    CallSid,
    CallStatus,
    RawCallback,
    RecordingCallback,
    RecordingSid,
    StatusCallback,
)
from amd_service.errors import MalformedCallback, OutcomeUnknown, RequestRefused, TwilioUnavailable
from amd_service.settings import Account, Settings
from amd_service.telemetry import Metrics, get_logger
from amd_service.twilio.rest.resources import call_event, call_of, recording_event
from amd_service.twilio.rest.retrying_transport import RetryingTransport
from amd_service.twilio.rest.transport import Transport

log = get_logger(__name__)

# Twilio gives up to 1000; so many come within AMD_TWILIO_TIMEOUT_S, which holds for the whole answer, on a bad day too.
PAGE_SIZE = 200

# Each event of a call is a parameter of its own; those of a recording are one, separated by spaces (Twilio's OpenAPI
# description, and its own samples).
CALL_EVENTS = ["initiated", "ringing", "answered", "completed"]
RECORDING_EVENTS = ["in-progress completed absent"]

NOT_FOUND = 20404

T = TypeVar("T", StatusCallback, RecordingCallback)

# What the package and our parsers raise on a resource that is not as Twilio describes it.
_MALFORMED = (MalformedCallback, ValueError, TypeError, AttributeError)
_END = object()


@dataclass(frozen=True, slots=True)
class ApiEvent(Generic[T]):
    """Something Twilio's API told: as it is kept, and what it means."""

    raw: RawCallback
    event: T


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A call to be placed. Exactly one of `url` and `twiml` (at most 4000 characters) says what it plays.

    `track`: `inbound` records the called party alone, `both` both sides in two channels. `twilio_amd`: Twilio's own
    detection runs beside ours and is reported to /twilio/amd. `ring_s`: how long it may ring.
    """

    to: str
    from_number: str
    url: str | None = None
    twiml: str | None = None
    track: str = "inbound"
    twilio_amd: bool = False
    ring_s: int = 60


class RestClient:
    """Twilio's REST API. `per_s`: at most so many requests a second, for work that is in no hurry.

    `patient`: what is only asked is asked again after a 429, for a few minutes at most, before TooManyRequests comes.
    Everything raises TwilioUnavailable and RequestRefused; what changes something raises OutcomeUnknown as well. What
    lists things leaves out those it cannot read: it logs them and counts them in `metrics`.
    """

    def __init__(
        self,
        client: httpx2.AsyncClient,
        settings: Settings,
        *,
        per_s: float | None = None,
        patient: bool = False,
        metrics: Metrics | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._transport = (RetryingTransport if patient else Transport)(client, settings, per_s=per_s)

    async def check(self, account: Account) -> None:
        """Ask for next to nothing, to see whether the account's credentials are accepted."""
        await _page(self._client(account).recordings.page_async(page_size=1))

    async def place(self, account: Account, order: CallRequest) -> ApiEvent[StatusCallback]:
        """Place a call that is recorded from its first sample and reports everything to us."""
        callback_url = self._settings.callback_url
        said = {"url": order.url} if order.url is not None else {"twiml": order.twiml}
        own_amd = {
            "machine_detection": "Enable",
            "async_amd": "true",
            "async_amd_status_callback": callback_url("/twilio/amd"),
            "async_amd_status_callback_method": "POST",
        }
        call = await self._client(account).calls.create_async(
            to=order.to,
            from_=order.from_number,
            timeout=order.ring_s,
            record=True,
            recording_track=order.track,
            recording_channels="dual" if order.track == "both" else "mono",
            # The default cuts leading silence away, and sample 0 would no longer be the answer.
            trim="do-not-trim",
            recording_status_callback=callback_url("/twilio/recording"),
            recording_status_callback_method="POST",
            recording_status_callback_event=RECORDING_EVENTS,
            status_callback=callback_url("/twilio/status"),
            status_callback_method="POST",
            status_callback_event=CALL_EVENTS,
            **said,
            **(own_amd if order.twilio_amd else {}),
        )
        try:
            return ApiEvent(*call_event(call))
        except _MALFORMED as error:
            raise OutcomeUnknown(f"Twilio placed a call and answered what cannot be read: {error}") from error

    async def hang_up(self, account: Account, call_sid: CallSid) -> None:
        """End a call. RequestRefused when it is over already."""
        await self._client(account).calls(call_sid).update_async(status=CallStatus.COMPLETED)

    async def redirect(self, account: Account, call_sid: CallSid, url: str) -> None:
        """Have a call that is up go on with the TwiML at `url`. RequestRefused when it is over."""
        await self._client(account).calls(call_sid).update_async(url=url, method="POST")

    async def call(self, account: Account, call_sid: CallSid) -> ApiEvent[StatusCallback] | None:
        """A call as it stands, None when Twilio knows none. Raises MalformedCallback for one that cannot be read."""
        try:
            return ApiEvent(*call_event(await self._client(account).calls(call_sid).fetch_async()))
        except RequestRefused as error:
            if error.code == NOT_FOUND:
                return None
            raise
        except _MALFORMED as error:
            self._pass_over(error)
            raise MalformedCallback(f"Twilio told of {call_sid} what cannot be read: {error}") from error

    async def calls(self, account: Account, since: datetime) -> AsyncIterator[ApiEvent[StatusCallback]]:
        """The calls that began at or after `since` (UTC), newest first."""
        page = self._client(account).calls.page_async(start_time_after=since, page_size=PAGE_SIZE)
        async with aclosing(self._listed(page)) as calls:
            async for call in calls:
                # Twilio's documentation has its filter go by the day, its OpenAPI description by the moment.
                if call is None or _began_before(call, since):
                    continue
                if told := self._readable(call_event, call):
                    yield told

    async def recorded_calls(self, account: Account, since: datetime) -> AsyncIterator[tuple[RecordingSid, CallSid]]:
        """Recordings made at or after `since` (UTC), newest first, and their calls; those of conferences left out."""
        page = self._client(account).recordings.page_async(date_created_after=since, page_size=PAGE_SIZE)
        async with aclosing(self._listed(page)) as recordings:
            async for recording in recordings:
                call_sid = None if recording is None else call_of(recording)
                if call_sid is not None:
                    yield RecordingSid(recording.sid), call_sid

    async def recordings_of(self, account: Account, call_sid: CallSid) -> list[ApiEvent[RecordingCallback] | None]:
        """Every recording of a call, with its track, and None in place of one that cannot be read.

        Empty also for a call Twilio does not know.
        """
        page = self._client(account).calls(call_sid).recordings.page_async(page_size=PAGE_SIZE)
        try:
            return [
                None if recording is None else self._readable(recording_event, recording)
                async for recording in self._listed(page)
            ]
        except RequestRefused as error:
            if error.code == NOT_FOUND:
                return []
            raise

    async def delete_recording(self, account: Account, recording_sid: RecordingSid) -> None:
        """Delete Twilio's copy of a recording; one that is gone already is as good."""
        try:
            await self._client(account).recordings(recording_sid).delete_async()
        except RequestRefused as error:
            if error.code != NOT_FOUND:
                raise

    def _client(self, account: Account) -> Client:
        user, password = account.basic_auth
        return Client(user, password, account_sid=account.account_sid, http_client=self._transport)

    async def _listed(self, first: Awaitable[Any]) -> AsyncGenerator[Any, None]:
        """Everything on a page and on those after it, None in place of what the package cannot read.

        It reads a record when it is asked for it.
        """
        page = await _page(first)
        while page is not None:
            for record in iter(partial(self._next_of, page), _END):
                yield record
            page = await _page(page.next_page_async())

    def _next_of(self, page: Any) -> Any:
        try:
            return next(page, _END)
        except _MALFORMED as error:
            self._pass_over(error)
            return None

    def _readable(self, read: Callable[[Any], tuple[RawCallback, T]], resource: Any) -> ApiEvent[T] | None:
        try:
            return ApiEvent(*read(resource))
        except _MALFORMED as error:
            self._pass_over(error)
            return None

    def _pass_over(self, error: Exception) -> None:
        log.warning("Twilio told of something that cannot be read; it is left out", error=str(error))
        if self._metrics is not None:
            self._metrics.callbacks.labels(REST_ROUTE, "malformed").inc()


async def _page(asked: Awaitable[Any]) -> Any:
    """A page of a list, or None after the last. What answers may be no Twilio at all."""
    try:
        return await asked
    except (TwilioException, httpx2.InvalidURL, LookupError, *_MALFORMED) as error:
        raise TwilioUnavailable(f"Twilio answered a page that cannot be read: {error}") from error


def _began_before(call: CallInstance, moment: datetime) -> bool:
    began_at = call.start_time or call.date_created
    # Twilio tells whole seconds.
    return began_at is not None and began_at < moment.replace(microsecond=0)
