"""Simulated accounts, calls and recordings, and their representation in Twilio's REST API."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from secrets import token_hex

from pydantic import SecretStr

from amd_service.domain import TERMINAL_CALL_STATUSES, AccountSid, CallStatus, RecordingStatus
from amd_service.settings import Account
from amd_service.simulator.twilio.signed_callbacks import Pairs


def new_sid(kind: str) -> str:
    """Return a random SID with the given two-letter prefix."""
    return kind + token_hex(16)


def make_account() -> Account:
    """Return a Twilio account with a random SID and auth token."""
    return Account(account_sid=AccountSid(new_sid("AC")), auth_tokens=[SecretStr(token_hex(16))])


def now() -> datetime:
    """Return the current time in whole seconds, which is Twilio's precision."""
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(slots=True, kw_only=True)
class SimulatedRecording:
    """A recording in the REST API. The media host serves its audio under the same SID."""

    call_sid: str | None
    sid: str = field(default_factory=lambda: new_sid("RE"))
    status: str = RecordingStatus.COMPLETED
    track: str | None = "inbound"
    channels: int = 1
    source: str = "OutboundAPI"
    duration_s: int | None = 5
    error_code: int | None = None
    conference_sid: str | None = None
    created_at: datetime = field(default_factory=now)


@dataclass(slots=True, kw_only=True)
class SimulatedCall:
    """A call. `form`: the parameters of the request that created the call. `updates`: parameters of each update.

    `annotations`: parameters of each annotation.
    """

    account_sid: str
    sid: str = field(default_factory=lambda: new_sid("CA"))
    status: str = CallStatus.QUEUED
    direction: str = "outbound-api"
    from_number: str = "+15005550006"
    to_number: str = "+12125550100"
    parent_call_sid: str | None = None
    created_at: datetime = field(default_factory=now)
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_s: int | None = None
    answered_by: str | None = None
    form: Pairs = ()
    updates: list[Pairs] = field(default_factory=list)
    annotations: list[Pairs] = field(default_factory=list)
    recordings: list[SimulatedRecording] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return self.status in TERMINAL_CALL_STATUSES

    def form_value(self, name: str) -> str | None:
        """Return the first value of a parameter in `form`; None if the parameter is missing."""
        return next(iter(self.form_values(name)), None)

    def form_values(self, name: str) -> list[str]:
        """Return all values of a parameter in `form`."""
        return [value for given, value in self.form if given == name]

    def end(self, status: str) -> None:
        """End the call with this status."""
        self.status = status
        self.ended_at = now()
        self.duration_s = int((self.ended_at - self.started_at).total_seconds()) if self.started_at else 0


def call_resource(call: SimulatedCall) -> dict[str, object]:
    """Return the Call resource: dates in RFC 2822 format, the duration as a string."""
    uri = f"/2010-04-01/Accounts/{call.account_sid}/Calls/{call.sid}"
    return {
        "account_sid": call.account_sid,
        "annotation": None,
        "answered_by": call.answered_by,
        "api_version": "2010-04-01",
        "caller_name": None,
        "date_created": _date(call.created_at),
        "date_updated": _date(call.ended_at or call.created_at),
        "direction": call.direction,
        "duration": _digits(call.duration_s),
        "end_time": _date(call.ended_at),
        "forwarded_from": None,
        "from": call.from_number,
        "from_formatted": call.from_number,
        "group_sid": None,
        "parent_call_sid": call.parent_call_sid,
        "phone_number_sid": None,
        "price": None,
        "price_unit": "USD",
        "queue_time": "0",
        "sid": call.sid,
        "start_time": _date(call.started_at),
        "status": call.status,
        "subresource_uris": {"recordings": f"{uri}/Recordings.json"},
        "to": call.to_number,
        "to_formatted": call.to_number,
        "trunk_sid": None,
        "uri": f"{uri}.json",
    }


def annotation_resource(call: SimulatedCall, url: str) -> dict[str, object]:
    """Return the Annotation resource of Voice Insights after all annotations of a call."""
    given = dict(pair for form in call.annotations for pair in form)
    return {
        "account_sid": call.account_sid,
        "answered_by": given.get("AnsweredBy"),
        "call_score": None,
        "call_sid": call.sid,
        "comment": None,
        "connectivity_issue": None,
        "incident": None,
        "quality_issues": [],
        "spam": None,
        "url": url,
    }


def recording_resource(account_sid: str, recording: SimulatedRecording, *, with_track: bool) -> dict[str, object]:
    """Return the Recording resource.

    `with_track`: add the track, as Twilio does in the list of one call's recordings.
    """
    uri = f"/2010-04-01/Accounts/{account_sid}/Recordings/{recording.sid}.json"
    resource: dict[str, object] = {
        "account_sid": account_sid,
        "api_version": "2010-04-01",
        "call_sid": recording.call_sid,
        "channels": recording.channels,
        "conference_sid": recording.conference_sid,
        "date_created": _date(recording.created_at),
        "date_updated": _date(recording.created_at),
        "duration": _digits(recording.duration_s),
        "encryption_details": None,
        "error_code": recording.error_code,
        "price": None,
        "price_unit": "USD",
        "sid": recording.sid,
        "source": recording.source,
        "start_time": _date(recording.created_at),
        "status": recording.status,
        "uri": uri,
    }
    return resource | ({"track": recording.track} if with_track else {"media_url": None})


def _date(moment: datetime | None) -> str | None:
    return None if moment is None else format_datetime(moment.astimezone(UTC))


def _digits(seconds: int | None) -> str | None:
    return None if seconds is None else str(seconds)
