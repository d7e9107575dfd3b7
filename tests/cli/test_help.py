"""Help texts: flags, short options, line breaks and metavars."""

import itertools
from pathlib import Path

import pytest
from typer.testing import CliRunner

from amd_service.cli import model
from amd_service.cli.main import COMMANDS, app

README = Path(__file__).parents[2] / "README.md"
NAMES = [[command.__name__] for command in COMMANDS]
MODEL = ["pull", "list", "show", "compare", "promote", "export"]
EVERY = [[], ["model"], *(["model", name] for name in MODEL), *NAMES]


@pytest.mark.parametrize("arguments", EVERY, ids=lambda arguments: "-".join(arguments) or "amd-service")
def test_h_prints_the_help_and_flags_have_no_type(arguments: list[str]) -> None:
    short = CliRunner().invoke(app, [*arguments, "-h"])
    assert (short.exit_code, "Usage: " in short.stdout) == (0, True)
    assert "<bool>" not in short.stdout
    assert short.stdout == CliRunner().invoke(app, [*arguments, "--help"]).stdout


def test_every_command_of_a_group_is_tested() -> None:
    assert {
        command.name or command.callback.__name__ for command in model.app.registered_commands if command.callback
    } == set(MODEL)


def test_the_lines_of_a_paragraph_are_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = CliRunner().invoke(app, ["call", "--help"]).stdout
    paragraph = text[text.index("Exit code 0") : text.index("╭─ Arguments")].strip().splitlines()
    for line, following in itertools.pairwise(paragraph):
        assert len(line.rstrip()) + len(following.split()[0]) >= 78, line


def test_the_metavar_of_call_is_the_one_of_the_readme() -> None:
    assert "`call NUMBER`" in README.read_text(encoding="utf-8")
    assert (
        "amd-service call [OPTIONS] {NUMBER}"
        in CliRunner().invoke(app, ["call", "--help"], prog_name="amd-service").stdout
    )
