"""The commands of the lab that are not part of `amd-service`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from amd_service.errors import ConfigurationError
from amd_service.lab.command import run


def test_an_error_ends_a_command_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise ConfigurationError("espeak-ng is missing")

    with pytest.raises(SystemExit) as ended:
        run(fail)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "espeak-ng is missing\n"


def test_a_missing_synthesiser_is_named_without_a_traceback(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "amd_service.lab.example_recordings", str(tmp_path / "out")],
        env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "apt-get install" in ended.stderr
    assert "Traceback" not in ended.stderr
