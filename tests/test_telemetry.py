"""Redaction of log events."""

import sys
from typing import Any

import pytest

from amd_service.telemetry import configure_logging, get_logger, redact
from tests.support.log_configuration import restored_logging


def logged(**event: Any) -> dict[str, Any]:
    return dict(redact(None, "info", event))


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("call from +15005550006 failed", "5005550"),
        ("From=%2B15005550006&To=x", "5005550"),
        ("postgresql://amd:hunter2@db/amd is away", "hunter2"),
        ("redis://:hunter2@host", "hunter2"),
        ("postgresql://amd:p@ss@db/amd", "ss@"),
        ("sent Authorization: Basic QUNabc123==", "QUNabc123"),
        ("GET /x?token=hunter2&y=1", "hunter2"),
    ],
)
def test_secrets_and_phone_numbers_are_redacted_in_text(text: str, secret: str) -> None:
    assert secret not in logged(event=text)["event"]


def test_secrets_and_phone_numbers_are_redacted_at_any_depth_and_in_objects() -> None:
    event = logged(
        event="x",
        nested={"auth_token": "hunter2", "list": ["+15005550006", ValueError("+15005550006")]},
        raw=b"+15005550006",
    )
    assert "hunter2" not in str(event)
    assert "5005550" not in str(event)


def test_sids_and_numbers_are_not_redacted() -> None:
    sid = "CA" + "1" * 32
    assert logged(event="judged", call_sid=sid, confidence=0.97, new=True, error=None) == {
        "event": "judged",
        "call_sid": sid,
        "confidence": 0.97,
        "new": True,
        "error": None,
    }


@pytest.mark.parametrize(("no_color", "is_coloured"), [("", True), ("1", False)])
def test_no_color_switches_the_colours_of_logs_off(
    no_color: str, is_coloured: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with restored_logging():
        configure_logging(log_format="auto", level="info")
        get_logger("test").warning("an event")
    assert ("\x1b[" in capsys.readouterr().err) == is_coloured
