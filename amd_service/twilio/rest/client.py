"""Client for Twilio's REST API: place and change calls, list calls and recordings, delete recordings."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Generic, TypeVar

import httpx2
from twilio.base.exceptions import TwilioException
from twilio.rest import Client

from amd_service.domain import (
    REST_ROUTE,
    AnsweredBy,
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
from amd_service.twilio.call_request import CallRequest
from amd_service.twilio.rest.resources import call_event, call_sid_of, recording_event
from amd_service.twilio.rest.retrying_transport import RetryingTransport
from amd_service.twilio.rest.transport import Sleep, Transport

log = get_logger(__name__)

# Twilio allows at most 1000 resources per page. AMD_TWILIO_TIMEOUT_S limits the time for a whole page. A page of 200
# arrives within this time even if Twilio is slow.
PAGE_SIZE = 200

# Each call event is sent as a separate parameter. All recording events are sent in one parameter, separated by spaces
# (sources: Twilio's OpenAPI description and Twilio's samples).
CALL_EVENTS = ["initiated", "ringing", "answered", "completed"]
RECORDING_EVENTS = ["in-progress completed absent"]

NOT_FOUND = 20404

T = TypeVar("T", StatusCallback, RecordingCallback)

# Errors of the `twilio` package and of our parsers if a resource does not match Twilio's OpenAPI description.
_MALFORMED = (MalformedCallback, ValueError, TypeError, AttributeError)
_END = object()


@dataclass(frozen=True, slots=True)
class ApiEvent(Generic[T]):
    """A resource of Twilio's API, converted to a callback: `raw` is unparsed, `event` is parsed."""

    raw: RawCallback
    event: T


class RestClient:
    """Twilio's REST API.

    `per_s`: maximum requests per second, None for no limit. `retry_rate_limits`: retry GETs after a 429 for a few
    minutes before raising TooManyRequests. `page_size`: resources per page of a list.

    Every method raises TwilioUnavailable and RequestRefused. `place_call`, `hang_up`, `redirect` and `annotate_call`
    also raise OutcomeUnknown. Lists skip resources that cannot be parsed. Such resources are logged and counted in
    `metrics`.
    """

    def __init__(
        self,
        client: httpx2.AsyncClient,
        settings: Settings,
        *,
        per_s: float | None = None,
        retry_rate_limits: bool = False,
        metrics: Metrics | None = None,
        page_size: int = PAGE_SIZE,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._page_size = page_size
        kind = RetryingTransport if retry_rate_limits else Transport
        self._transport = kind(client, settings, per_s=per_s, sleep=sleep)
        self._insights = kind(client, settings, per_s=per_s, product="insights", sleep=sleep)

    async def check_credentials(self, account: Account) -> None:
        """Send a minimal request. Raises CredentialsRefused if Twilio rejects the account's credentials."""
        await _page(self._client(account).recordings.page_async(page_size=1))

    async def place_call(self, account: Account, request: CallRequest) -> ApiEvent[StatusCallback]:
        """Place a call with a complete recording and with this service's URL for every callback.

        Raises ConfigurationError if AMD_PUBLIC_URL is not set.
        """
        call = await self._client(account).calls.create_async(
            to=request.to,
            from_=request.from_number,
            timeout=request.ring_s,
            **({"url": request.url} if request.url is not None else {"twiml": request.twiml}),
            **self._recording_parameters(request),
            **self._callback_parameters(request),
        )
        try:
            raw, event = call_event(call)
            return ApiEvent(replace(raw, tagging=request.tagging), event)
        except _MALFORMED as error:
            raise OutcomeUnknown(f"Twilio placed a call, but the response cannot be parsed: {error}") from error

    async def hang_up(self, account: Account, call_sid: CallSid) -> None:
        """End a call. Raises RequestRefused if the call has already ended."""
        await self._client(account).calls(call_sid).update_async(status=CallStatus.COMPLETED)

    async def redirect(self, account: Account, call_sid: CallSid, url: str) -> None:
        """Continue a call in progress with the TwiML at `url`. Raises RequestRefused if the call has ended."""
        await self._client(account).calls(call_sid).update_async(url=url, method="POST")

    async def get_call(self, account: Account, call_sid: CallSid) -> ApiEvent[StatusCallback] | None:
        """Fetch a call. Returns None if Twilio does not have the call.

        Raises MalformedCallback if Twilio's data cannot be parsed.
        """
        try:
            return ApiEvent(*call_event(await self._client(account).calls(call_sid).fetch_async()))
        except RequestRefused as error:
            if error.code == NOT_FOUND:
                return None
            raise
        except _MALFORMED as error:
            self._report_malformed(error)
            raise MalformedCallback(f"Twilio's data for {call_sid} cannot be parsed: {error}") from error

    async def list_calls(self, account: Account, since: datetime) -> AsyncIterator[ApiEvent[StatusCallback]]:
        """Yield the calls that started at or after `since` (UTC), newest first."""
        page = self._client(account).calls.page_async(start_time_after=since, page_size=self._page_size)
        # Twilio's times have no fractions of a second.
        earliest = since.replace(microsecond=0)
        async with aclosing(self._resources(page)) as calls:
            async for call in calls:
                # Filter again, because Twilio's filter may compare only days (Twilio's documentation) instead of times
                # (Twilio's OpenAPI description).
                started_at = None if call is None else call.start_time or call.date_created
                is_recent = started_at is None or started_at >= earliest
                if call is not None and is_recent and (event := self._parse(call_event, call)):
                    yield event

    async def list_recorded_calls(
        self, account: Account, since: datetime
    ) -> AsyncIterator[tuple[RecordingSid, CallSid]]:
        """Yield SIDs of recordings made at or after `since` (UTC) and of their calls, newest first.

        Skips conference recordings.
        """
        page = self._client(account).recordings.page_async(date_created_after=since, page_size=self._page_size)
        async with aclosing(self._resources(page)) as recordings:
            async for recording in recordings:
                call_sid = None if recording is None else call_sid_of(recording)
                if call_sid is not None:
                    yield RecordingSid(recording.sid), call_sid

    async def list_call_recordings(
        self, account: Account, call_sid: CallSid
    ) -> list[ApiEvent[RecordingCallback] | None]:
        """Return all recordings of a call, with their tracks. An item is None if the recording cannot be parsed.

        The list is empty if Twilio does not have the call.
        """
        page = self._client(account).calls(call_sid).recordings.page_async(page_size=self._page_size)
        try:
            return [
                None if recording is None else self._parse(recording_event, recording)
                async for recording in self._resources(page)
            ]
        except RequestRefused as error:
            if error.code == NOT_FOUND:
                return []
            raise

    async def delete_recording(self, account: Account, recording_sid: RecordingSid) -> None:
        """Delete Twilio's copy of a recording. Succeeds if the copy was already deleted."""
        try:
            await self._client(account).recordings(recording_sid).delete_async()
        except RequestRefused as error:
            if error.code != NOT_FOUND:
                raise

    async def annotate_call(self, account: Account, call_sid: CallSid, answered_by: AnsweredBy) -> None:
        """Say in Twilio's Voice Insights who answered a call. The request may be repeated.

        Raises OutcomeUnknown if Twilio's response was lost.
        """
        calls = self._client(account, self._insights).insights.v1.calls
        await calls(call_sid).annotation().update_async(answered_by=answered_by.value)

    def _client(self, account: Account, transport: Transport | None = None) -> Client:
        user, password = account.basic_auth
        return Client(user, password, account_sid=account.account_sid, http_client=transport or self._transport)

    def _recording_parameters(self, request: CallRequest) -> dict[str, Any]:
        return {
            "record": True,
            "recording_track": request.track,
            "recording_channels": "dual" if request.track == "both" else "mono",
            # By default Twilio removes leading silence. Sample 0 must be the moment at which the call was answered.
            "trim": "do-not-trim",
            "recording_status_callback": self._callback_url("/twilio/recording", request),
            "recording_status_callback_method": "POST",
            "recording_status_callback_event": RECORDING_EVENTS,
        }

    def _callback_parameters(self, request: CallRequest) -> dict[str, Any]:
        status = {
            "status_callback": self._callback_url("/twilio/status", request),
            "status_callback_method": "POST",
            "status_callback_event": CALL_EVENTS,
        }
        amd = {
            "machine_detection": "Enable",
            "async_amd": "true",
            "async_amd_status_callback": self._callback_url("/twilio/amd", request),
            "async_amd_status_callback_method": "POST",
        }
        return status | amd if request.twilio_amd else status

    def _callback_url(self, path: str, request: CallRequest) -> str:
        # Campaign and tags are in the URL, so that the callbacks name them even if the response to the request is lost.
        return request.tagging.add_to(self._settings.callback_url(path))

    async def _resources(self, first: Awaitable[Any]) -> AsyncGenerator[Any, None]:
        """Yield all resources of a page and of the pages after that page, None for a resource that cannot be parsed.

        The `twilio` package parses a resource only when that resource is read, so an invalid resource does not end the
        list.
        """
        page = await _page(first)
        while page is not None:
            for resource in iter(partial(self._next_resource, page), _END):
                yield resource
            page = await _page(page.next_page_async())

    def _next_resource(self, page: Any) -> Any:
        try:
            return next(page, _END)
        except _MALFORMED as error:
            self._report_malformed(error)
            return None

    def _parse(self, parse: Callable[[Any], tuple[RawCallback, T]], resource: Any) -> ApiEvent[T] | None:
        try:
            return ApiEvent(*parse(resource))
        except _MALFORMED as error:
            self._report_malformed(error)
            return None

    def _report_malformed(self, error: Exception) -> None:
        log.warning("malformed Twilio resource", error=str(error))
        if self._metrics is not None:
            self._metrics.callbacks.labels(REST_ROUTE, "malformed").inc()


async def _page(pending: Awaitable[Any]) -> Any:
    """Wait for a page of a list and return the page, or None after the last page.

    Raises TwilioUnavailable if the response is not a page.
    """
    try:
        return await pending
    except (TwilioException, httpx2.InvalidURL, LookupError, *_MALFORMED) as error:
        raise TwilioUnavailable(f"invalid list page from Twilio: {error}") from error
