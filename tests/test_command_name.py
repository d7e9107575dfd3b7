"""Hints name the command as the reader must type it."""

import sys
from pathlib import Path

import pytest

from amd_service.telemetry.command_name import command_name, with_command_name


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory whose commands are not on the PATH."""
    commands = tmp_path / ".venv" / "bin"
    commands.mkdir(parents=True)
    for name in ("amd-service", "python"):
        (commands / name).touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    return commands


@pytest.mark.parametrize("absolute", [True, False])
def test_a_checkout_has_a_relative_path(checkout: Path, monkeypatch: pytest.MonkeyPatch, absolute: bool) -> None:
    monkeypatch.setattr(sys, "argv", [str(checkout / "amd-service") if absolute else ".venv/bin/amd-service"])
    assert command_name() == ".venv/bin/amd-service"
    assert with_command_name("run `amd-service doctor`") == "run `.venv/bin/amd-service doctor`"


def test_a_command_on_the_path_has_its_name(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    monkeypatch.setattr(sys, "argv", [str(checkout / "amd-service")])
    assert command_name() == "amd-service"


def test_a_command_elsewhere_has_its_whole_path(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [str(checkout / "amd-service")])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert command_name() == str(checkout / "amd-service")


def test_the_module_is_run_with_its_interpreter(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/opt/amd_service/__main__.py", "serve"])
    monkeypatch.setattr(sys, "executable", str(checkout / "python"))
    assert command_name() == ".venv/bin/python -m amd_service"


def test_packages_are_installed_for_the_python_that_runs_the_service(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(checkout / "python"))
    named = with_command_name("run pip install 'amd-service[onnx]'")
    assert named == "run .venv/bin/python -m pip install 'amd-service[onnx]'"
    for whole in (named, "run `uv pip install x`", "run `/usr/bin/pip install x`"):
        assert with_command_name(whole) == whole


def test_without_pip_the_command_keeps_its_usual_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amd_service.telemetry.command_name.find_spec", lambda _name: None)
    assert with_command_name("run pip install 'amd-service[onnx]'") == "run pip install 'amd-service[onnx]'"


def test_another_program_names_the_command_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/uvicorn"])
    assert with_command_name("run `amd-service migrate`, not amd-service") == (
        "run `amd-service migrate`, not amd-service"
    )


def test_a_text_without_a_command_costs_no_search_of_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    def search(_program: str) -> str:
        raise AssertionError("the PATH was searched for a value of a log line")

    monkeypatch.setattr("shutil.which", search)
    monkeypatch.setattr("sys.argv", ["/opt/amd/bin/amd-service", "serve"])
    assert with_command_name("recording judged by amd-service") == "recording judged by amd-service"
