"""`.env` files that cannot be read, or contain a line that cannot be read."""

import os
from pathlib import Path

import pytest

from amd_service.errors import ConfigurationError
from amd_service.settings import Settings, load_settings
from amd_service.settings.warnings import setting_warnings
from tests.support.command_line import CommandLine

UNREADABLE = "cannot be read: write NAME=value, and close every quotation mark"


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(Settings.model_config, "env_file", ".env")


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("AMD_PORT 8090\n", [f".env line 1 (AMD_PORT) {UNREADABLE}"]),
        ("\n# a comment\nexport AMD_MODEL\n", [f".env line 3 (AMD_MODEL) {UNREADABLE}"]),
        ('AMD_MODEL=demo\nTWILIO_AUTH_TOKEN="s3cr3t\n', [f".env line 2 (TWILIO_AUTH_TOKEN) {UNREADABLE}"]),
        ('"AMD_MODEL=demo"\n', [f".env line 1 {UNREADABLE}"]),
        ("AMD_MODEL=demo\r\n<<<<<<< HEAD\r\n", [f".env line 2 {UNREADABLE}"]),
        (
            "AMD_MODEL: demo\nAMD_PORT\n",
            [f".env line 1 (AMD_MODEL) {UNREADABLE}", f".env line 2 (AMD_PORT) {UNREADABLE}"],
        ),
        ("\u200bAMD_PORT=1\n", [f".env line 1 {UNREADABLE}"]),
    ],
)
def test_a_line_that_cannot_be_read_is_reported_by_file_line_and_variable(content: str, lines: list[str]) -> None:
    Path(".env").write_text(content, newline="")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert str(caught.value).splitlines() == lines


@pytest.mark.parametrize(
    "content", ["", "\n", "# a comment\r\nexport AMD_PORT=8090 # a comment\r\nAMD_MODEL='demo'\r\n"]
)
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=ascii)
def test_comments_quotes_crlf_and_a_byte_order_mark_are_read(content: str, mark: str) -> None:
    Path(".env").write_text(mark + content, newline="", encoding="utf-8")
    assert load_settings().port == (8090 if "8090" in content else 8080)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_file_in_utf_16_is_named(encoding: str) -> None:
    mark = "" if encoding == "utf-16" else "\ufeff"
    Path(".env").write_bytes(f"{mark}AMD_MODEL=demo\n".encode(encoding))
    with pytest.raises(ConfigurationError, match=r"^\.env is in UTF-16: save the file in UTF-8$"):
        load_settings()


def test_a_file_in_latin_1_names_the_line() -> None:
    Path(".env").write_bytes(b"AMD_MODEL=demo\n# f\xfcr Tests\n")
    with pytest.raises(ConfigurationError, match=r"^\.env line 2 is not in UTF-8: save the file in UTF-8$"):
        load_settings()


def test_a_directory_is_refused() -> None:
    Path(".env").mkdir()
    with pytest.raises(ConfigurationError, match=r"^\.env is a directory: rename the directory, or remove it$"):
        load_settings()


def test_a_pipe_is_refused_at_once() -> None:
    os.mkfifo(".env")
    with pytest.raises(ConfigurationError, match=r"^\.env is a pipe: replace the pipe by a file$"):
        load_settings()


def test_an_empty_device_counts_as_an_empty_file() -> None:
    Path(".env").symlink_to("/dev/null")
    assert load_settings().port == 8080


def test_a_missing_file_is_no_error() -> None:
    assert load_settings().port == 8080


def test_the_url_of_the_example_file_causes_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    example = Path(__file__).parents[2] / ".env.example"
    Path(".env").write_text(example.read_text(encoding="utf-8"), encoding="utf-8")
    (warning,) = setting_warnings(load_settings())
    assert warning.startswith("AMD_PUBLIC_URL=https://amd.example.com is an example URL that Twilio cannot reach; set ")
    monkeypatch.setenv("AMD_PUBLIC_URL", "https://amd.acme.dev")
    assert setting_warnings(load_settings()) == []


@pytest.mark.parametrize("arguments", [["serve"], ["requeue"], ["classify", ".env"], ["model", "pull"], ["reconcile"]])
def test_a_command_ends_with_one_line_and_exit_code_2(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    Path(".env").write_text("AMD_PORT 8090\n")
    ended = CommandLine(monkeypatch, capfd).run(*arguments)
    assert (ended.code, ended.err) == (2, f"amd-service: .env line 1 (AMD_PORT) {UNREADABLE}\n")


def test_the_doctor_reports_a_line_that_cannot_be_read_as_a_failed_check(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    Path(".env").write_text("AMD_PORT 8090\n")
    ended = CommandLine(monkeypatch, capfd).run("doctor")
    assert (ended.code, ended.out) == (1, f"fail  settings  .env line 1 (AMD_PORT) {UNREADABLE}\n")
