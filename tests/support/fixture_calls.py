"""Recordings of the fixture calls, and the expected rows."""

import json
from pathlib import Path

CALLS = Path(__file__).parents[2] / "fixtures" / "calls"

HUMAN = (CALLS / "01-human-hello" / "recording.wav").read_bytes()
VOICEMAIL = (CALLS / "07-voicemail-carrier" / "recording.wav").read_bytes()
SILENCE = (CALLS / "21-silence" / "recording.wav").read_bytes()


def samples_of(recording: bytes) -> bytes:
    """The samples of a WAV file, without its header."""
    start = recording.index(b"data") + 8
    return recording[start:]


def expected(name: str) -> dict[str, object]:
    """The expected row of a fixture call."""
    row: dict[str, object] = json.loads((CALLS / name / "expected.json").read_text(encoding="utf-8"))
    return row
