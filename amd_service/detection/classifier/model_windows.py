"""Reads `windows.json` of a model folder: the windows and thresholds for which the model was made."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from amd_service.domain import LongWindowRule
from amd_service.settings import Settings

WINDOWS_FILE = "windows.json"
# Least and greatest value of each key, as in the settings of the same names, in the order of the fields below.
_MILLISECONDS = {"window_ms": (1000, 10_000), "long_window_ms": (1000, 15_000), "live_window_ms": (1000, 10_000)}
_PROBABILITIES = ("min_confidence_human", "min_confidence_voicemail")
_RULE = "long_window"

# Windows for a model without `windows.json`, such as the production model.
WINDOW_MS, LONG_WINDOW_MS = 2000, 5000
# A caller on the line waits for the first look at a call in progress, so this look comes early for every model.
LIVE_WINDOW_MS = 2000


@dataclass(frozen=True, slots=True)
class ModelWindows:
    """Values of `windows.json`. A value that the file lacks is None; a setting of the user overrides each of them.

    `live_window_ms`: length of the first look at a call in progress, if it is shorter than `window_ms`.
    """

    window_ms: int | None = None
    long_window_ms: int | None = None
    live_window_ms: int | None = None
    min_confidence_human: float | None = None
    min_confidence_voicemail: float | None = None
    long_window: LongWindowRule | None = None

    @classmethod
    def parse(cls, content: Mapping[str, object], path: Path) -> Self:
        """Check the content of the file at `path`. Raises ValueError for an unknown key or a wrong value."""
        keys = (*_MILLISECONDS, *_PROBABILITIES, _RULE)
        unknown = sorted(set(content) - {*keys})
        if unknown:
            known = ", ".join(keys)
            raise ValueError(f"{path}: unknown key {unknown[0]}; the file may contain {known}")
        first_ms, long_ms, live_ms = (_milliseconds(content.get(key), key, path) for key in _MILLISECONDS)
        human, voicemail = (_probability(content.get(key), key, path) for key in _PROBABILITIES)
        stated = cls(first_ms, long_ms, live_ms, human, voicemail, _rule(content.get(_RULE), path))
        if stated.window_ms and stated.long_window_ms and stated.window_ms > stated.long_window_ms:
            raise ValueError(f"{path}: window_ms={stated.window_ms} is above long_window_ms={stated.long_window_ms}")
        return stated


NO_WINDOWS = ModelWindows()


@dataclass(frozen=True, slots=True)
class WindowLengths:
    """Lengths of the windows that the service scores.

    `live_window_ms`: length of the first look at a call in progress, if it is shorter than the first window.
    """

    window_ms: int
    long_window_ms: int
    live_window_ms: int

    @classmethod
    def from_settings(cls, settings: Settings, model: ModelWindows = NO_WINDOWS) -> Self:
        """Take each length from the settings, else from the model's `windows.json`, else the default.

        A first window above an inherited long window leaves no second window.
        """
        window_ms = settings.window_ms or model.window_ms or WINDOW_MS
        long_ms = settings.long_window_ms or model.long_window_ms or LONG_WINDOW_MS
        early_ms = settings.window_ms or model.live_window_ms or LIVE_WINDOW_MS
        return cls(window_ms, max(window_ms, long_ms), min(window_ms, early_ms))

    @property
    def distinct_ms(self) -> tuple[int, ...]:
        """Each length once; the first window comes first."""
        return tuple(dict.fromkeys((self.window_ms, self.long_window_ms, self.live_window_ms)))


def _milliseconds(value: object, key: str, path: Path) -> int | None:
    if value is None:
        return None
    low, high = _MILLISECONDS[key]
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{path}: {key} must be a whole number from {low} to {high}, not {value!r}")
    return value


def _probability(value: object, key: str, path: Path) -> float | None:
    if value is None:
        return None
    if not isinstance(value, float) or not 0.5 < value < 1:
        raise ValueError(f"{path}: {key} must be a number between 0.5 and 1, not {value!r}")
    return value


def _rule(value: object, path: Path) -> LongWindowRule | None:
    if value is None:
        return None
    for rule in LongWindowRule:
        if value == rule:
            return rule
    known = " or ".join(f'"{rule}"' for rule in LongWindowRule)
    raise ValueError(f"{path}: {_RULE} must be {known}, not {value!r}")
