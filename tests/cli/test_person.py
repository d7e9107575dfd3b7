"""`amd-service person`."""

import io
import json
import sys

import pytest

from tests.support.command_line import CommandLine

# No `anyio` mark: a command runs its own event loop.


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], database_url: str, emptied: None
) -> CommandLine:
    monkeypatch.setenv("AMD_DATABASE_URL", database_url)
    return CommandLine(monkeypatch, capfd)


def type_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_people_are_added_changed_and_listed(command: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    type_in(monkeypatch, "correct horse battery\n")
    added = command.run("person", "add", "ann", "--role", "admin")
    assert (added.code, added.out) == (0, "added ann (admin)\n")
    assert "From now on, programs on this machine need an API key" in added.err
    assert "correct horse" not in added.out + added.err
    second = command.run("person", "add", "ben@example.com", "--role", "viewer", "--proxy-only")
    assert (second.code, second.out, second.err) == (0, "added ben@example.com (viewer)\n", "")
    assert command.run("person", "change", "ben@example.com", "--role", "reviewer", "--numbers").code == 0
    assert command.run("person", "sign-out", "ann").out == "signed out ann\n"
    assert command.run("person", "disable", "ann").out == "disabled ann\n"
    lines = command.run("person", "list").out.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["name", "role", "state"],
        ["ann", "admin", "disabled"],
        ["ben@example.com", "reviewer", "enabled"],
    ]
    assert len({line.index(word) for line, word in zip(lines, ("role", "admin", "reviewer"), strict=True)}) == 1
    rows = [json.loads(line) for line in command.run("person", "list", "--json").out.splitlines()]
    assert (rows[1]["numbers"], rows[1]["sign_in"]) == ("in full", "proxy only")
    assert "hash" not in str(rows)


@pytest.mark.parametrize(
    ("arguments", "typed", "error"),
    [
        (("add", "ann", "--role", "viewer"), "short\n", "the password must have 12 to 1000 characters, and not 5"),
        (("add", "ann", "--role", "viewer"), "", "the password must have 12 to 1000 characters, and not 0"),
        (("add", " ann", "--role", "viewer"), "", "' ann' cannot be a name"),
        (("add", "local", "--role", "viewer"), "", "'local' is the name of clients"),
        (("change", "eve", "--role", "viewer"), "", "nobody is named 'eve': see `amd-service person list`"),
        (("disable", "eve"), "", "nobody is named 'eve'"),
        (("sign-out", "eve"), "", "nobody is named 'eve'"),
    ],
)
def test_an_error_is_one_line_that_names_the_cure(
    arguments: tuple[str, ...], typed: str, error: str, command: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, typed)
    ended = command.run("person", *arguments)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith(f"amd-service: {error}")


def test_a_terminal_asks_twice(command: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    answers = iter(["correct horse battery", "another password", "correct horse battery", "correct horse battery"])
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("typer.prompt", lambda *_, **options: next(answers) if options["hide_input"] else None)
    assert command.run("person", "add", "ann", "--role", "viewer").code == 2
    assert command.run("person", "add", "ann", "--role", "viewer").code == 0


def test_an_empty_list_says_how_to_add_the_first_person(command: CommandLine) -> None:
    assert "amd-service person add NAME --role admin" in command.run("person", "list").err
    assert command.run("person", "list", "--json").out == ""
