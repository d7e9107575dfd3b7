"""The outcome of a replayed call: expected row, actual row, and differences."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from amd_service.simulator.live_calls import StreamedCall


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a replayed call ended.

    `got`: the `call_log` row from the service's API; empty if there is no row. `mismatches`: keys of `expected` that
    have another value in `got`. `seconds`: from the response to the last callback until the verdict. `note`: a failure
    during the replay, such as a rejected callback. `stream`: how the call was streamed; None if it was not streamed.
    `since_stream_s`: seconds from the start of the stream to the verdict.
    """

    name: str
    call_sid: str
    expected: Mapping[str, JsonValue]
    got: Mapping[str, JsonValue] = field(default_factory=dict)
    mismatches: tuple[str, ...] = ()
    seconds: float = 0.0
    note: str | None = None
    stream: StreamedCall | None = None
    since_stream_s: float | None = None

    @property
    def matched(self) -> bool:
        return not self.mismatches and self.note is None

    @property
    def confidence(self) -> float | None:
        confidence = self.got.get("confidence")
        return float(confidence) if isinstance(confidence, int | float) else None


def compare(expected: Mapping[str, JsonValue], got: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """Return the keys of `expected` that are missing in `got` or have another value.

    A list in `expected` holds acceptable values.
    """
    return tuple(key for key, value in expected.items() if not is_acceptable(value, got, key))


def is_acceptable(expected: JsonValue, got: Mapping[str, JsonValue], key: str) -> bool:
    """Return whether `got[key]` is the expected value, or one of the values if a list is expected."""
    return key in got and got[key] in (expected if isinstance(expected, list) else [expected])
