"""The journal of `simulate`: what happened to each placed call, printed and kept for the status page."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from pydantic import JsonValue

from amd_service.settings import is_loopback
from amd_service.simulator.twilio.call_simulation import OutgoingCallback
from amd_service.simulator.twilio.resources import now
from amd_service.simulator.twilio.signed_callbacks import CallbackOutcome

# Number of calls on the status page.
KEPT_CALLS = 100
CURE = "set AMD_PUBLIC_URL to the loopback address of the service"


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of a call. `text`: the event for a reader. `details`: further fields of the JSON object."""

    at: datetime
    call_sid: str
    event: str
    text: str
    details: dict[str, JsonValue]

    def as_json(self) -> dict[str, JsonValue]:
        return {"at": self.at.isoformat(), "call_sid": self.call_sid, "event": self.event, "text": self.text} | (
            self.details
        )

    def as_line(self) -> str:
        return f"{self.at:%H:%M:%S}  {self.call_sid}  {self.event:<9}  {self.text}"


@dataclass(slots=True)
class Journal:
    """The entries by CallSid, of the newest KEPT_CALLS calls. `show` is called with each new entry."""

    show: Callable[[Entry], None]
    recorded_calls: dict[str, str] = field(default_factory=dict)
    _entries: dict[str, list[Entry]] = field(default_factory=dict)

    def begin(self, call_sid: str, number: str, recorded_call: str) -> None:
        """Add a placed call, and drop the oldest call if there are too many."""
        self._entries[call_sid] = []
        self.recorded_calls[call_sid] = recorded_call
        if len(self._entries) > KEPT_CALLS:
            oldest = next(iter(self._entries))
            del self._entries[oldest], self.recorded_calls[oldest]
        self.add(call_sid, "placed", f"to {number}, sounds like {recorded_call}", recorded_call=recorded_call)

    def add(self, call_sid: str, event: str, text: str, **details: JsonValue) -> None:
        """Show an entry, and keep the entry unless its call was dropped."""
        entry = Entry(now(), call_sid, event, text, details)
        if call_sid in self._entries:
            self._entries[call_sid].append(entry)
        self.show(entry)

    def add_callback(self, callback: OutgoingCallback, outcome: CallbackOutcome) -> None:
        fields = dict(callback.pairs)
        names = {"CallStatus": "", "RecordingStatus": "recording ", "AnsweredBy": "answered by "}
        reported = next((words + fields[name] for name, words in names.items() if name in fields), "")
        self.add(
            fields["CallSid"],
            "callback",
            f"{reported} → {callback.url.partition('#')[0]}  {explain(callback.url, outcome, cure=CURE)}",
            url=callback.url,
            fields=dict(fields),
            status=outcome.status,
            outcome=outcome.outcome,
            attempts=outcome.attempts,
        )

    def newest_first(self) -> Iterator[tuple[str, list[Entry]]]:
        return reversed(self._entries.items())


def explain(url: str, outcome: CallbackOutcome, *, cure: str) -> str:
    """Return the response to a request, or why there is none. `cure`: what to change after a failure."""
    if outcome.outcome == "2xx":
        return str(outcome.status)
    if not is_loopback(urlsplit(url).hostname or ""):
        return f"not sent, because the host is not loopback: {cure}"
    if outcome.status is None:
        return f"no response ({outcome.outcome}): start the service, or {cure}"
    if outcome.status == 403:
        return f"403: set the same TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN for the service, and {cure}"
    return str(outcome.status)
