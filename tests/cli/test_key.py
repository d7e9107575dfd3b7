"""`amd-service key`."""

import json

import pytest

from tests.support.command_line import CommandLine


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], database_url: str, emptied: None
) -> CommandLine:
    monkeypatch.setenv("AMD_DATABASE_URL", database_url)
    return CommandLine(monkeypatch, capfd)


def test_a_key_is_printed_once_and_can_be_revoked(command: CommandLine) -> None:
    added = command.run("key", "add", "dashboard", "--scope", "read", "--scope", "predict")
    key = added.out.strip()
    assert (added.code, added.out, key[:4]) == (0, f"{key}\n", "amd_")  # a script can read the key from stdout
    assert "The key is shown only now" in added.err
    assert "From now on, programs on this machine need an API key" in added.err
    listed = command.run("key", "list").out
    assert [line.split() for line in listed.splitlines()][1][:3] == ["dashboard", "predict,read", "valid"]
    assert key not in listed
    assert command.run("key", "revoke", "dashboard").out == "revoked dashboard\n"
    (row,) = [json.loads(line) for line in command.run("key", "list", "--json").out.splitlines()]
    assert (row["name"], row["state"]) == ("dashboard", "revoked")


def test_with_configured_keys_nothing_else_changes(command: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMD_API_KEYS", "k" * 32)
    assert "From now on" not in command.run("key", "add", "dashboard", "--scope", "read").err


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("add", "x", "--scope", "write"), "'write' is not a scope: use predict, read, call, review, admin"),
        (("add", "AMD_API_KEYS", "--scope", "read"), "'AMD_API_KEYS' is the name of clients"),
        (("revoke", "x"), "no valid key is named 'x': see `amd-service key list`"),
    ],
)
def test_an_error_is_one_line_that_names_the_cure(arguments: tuple[str, ...], error: str, command: CommandLine) -> None:
    ended = command.run("key", *arguments)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith(f"amd-service: {error}")
