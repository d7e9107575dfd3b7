"""Environments that are broken outside the settings: proxies, certificates, home, working directory, output."""

import errno
import os
import pwd
import subprocess
import sys
import tempfile
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError

from amd_service.detection.classifier import hub
from amd_service.errors import ConfigurationError, ModelUnusable
from amd_service.runtime import open_runtime
from amd_service.settings import Settings, load_settings
from amd_service.settings.network import check_network_environment
from amd_service.telemetry.command_name import with_command_name
from tests.support.command_line import CommandLine

RECORDING = str(Path("fixtures/calls/01-human-hello/recording.wav").resolve())
CALLS = str(Path("fixtures/calls").resolve())
SETTINGS = {
    "TWILIO_ACCOUNT_SID": "AC" + "1" * 32,
    "TWILIO_AUTH_TOKEN": "0" * 32,
    "AMD_DATABASE_URL": "postgresql://u@127.0.0.1:1/amd",
    "AMD_MODEL": "/nowhere",
    "AMD_PORT": "0",
    "AMD_WORKER_PORT": "0",
    "AMD_DIAL_PREFIXES": "+1500",
    "AMD_PUBLIC_URL": "https://amd.acme.dev",
}
CALL = ["call", "+15005550010", "--from", "+15005550006"]
NEEDS_TWILIO = [["serve"], ["worker"], ["reconcile"], CALL]
NEEDS_NO_TWILIO = [["migrate"], ["requeue"], ["classify", RECORDING]]
EXPORT = ["model", "export", "--engine", "onnx", "--precision", "fp32"]
EVERY = [*NEEDS_TWILIO, *NEEDS_NO_TWILIO, ["replay", CALLS], ["model", "pull"], EXPORT]
NETWORK = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NETWORK:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def command_line(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capfd)


BROKEN = [
    ("ALL_PROXY", "socks5://127.0.0.1:1080", "a SOCKS proxy needs the package socksio: `pip install socksio`, or "),
    ("http_proxy", "socks5h://127.0.0.1:1080", "a SOCKS proxy needs the package socksio: `pip install socksio`, or "),
    ("HTTPS_PROXY", '"http://127.0.0.1:1"', "must not be in quotation marks: remove the quotation marks"),
    ("HTTPS_PROXY", "http://127.0.0.1:1\n", "must not contain a line break"),
    ("https_proxy", "ftp://127.0.0.1", "must be a proxy like http://host:3128 or socks5://host:1080; correct or unset"),
    ("HTTP_PROXY", "http://127.0.0.1:port", "must be a proxy like http://host:3128 or socks5://host:1080; correct or"),
    ("SSL_CERT_FILE", "/nowhere.pem", "No such file or directory; set the variable to a file with certificates in PEM"),
    ("SSL_CERT_FILE", "/etc/passwd", "no certificates; set the variable to a file with certificates in PEM format, or"),
    (
        "SSL_CERT_FILE",
        "/tmp",
        "Is a directory; set the variable to a file with certificates in PEM format, or unset it",
    ),
    ("SSL_CERT_DIR", "/nowhere", "not a directory; set the variable to a directory with certificates, or unset it"),
]


@pytest.mark.parametrize("arguments", NEEDS_TWILIO, ids=lambda arguments: arguments[0])
@pytest.mark.parametrize(("name", "value", "cure"), BROKEN)
def test_a_command_that_needs_twilio_names_the_broken_variable_in_one_line(
    name: str, value: str, cure: str, arguments: list[str], command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    ended = command_line.run(*arguments)
    (line,) = [line for line in ended.err.splitlines() if not line.startswith("{")]
    shown = value.replace("\n", "\\n")
    assert (ended.code, line.startswith(f"amd-service: {name}={shown}: {with_command_name(cure)}")) == (2, True), line


@pytest.mark.parametrize("arguments", NEEDS_NO_TWILIO, ids=lambda arguments: arguments[0])
def test_a_command_that_needs_no_twilio_ignores_a_broken_proxy(
    arguments: list[str], command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    ended = command_line.run(*arguments)
    assert ended.code == 2  # the database and the model are missing
    assert "Traceback" not in ended.err
    assert "PROXY" not in ended.err


@pytest.mark.anyio
async def test_without_a_worker_and_without_an_account_serve_ignores_a_broken_proxy(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    monkeypatch.setenv("AMD_DATABASE_URL", database_url)
    with pytest.raises(ConfigurationError, match=r"^ALL_PROXY="):
        async with open_runtime(load_settings(), with_worker=False):
            pass
    monkeypatch.delenv("TWILIO_ACCOUNT_SID")
    monkeypatch.delenv("TWILIO_AUTH_TOKEN")
    async with open_runtime(load_settings(), with_worker=False) as runtime:
        assert runtime.worker is None


@pytest.mark.parametrize("value", ["*", "localhost,*"])
def test_no_proxy_for_every_host_makes_a_broken_proxy_harmless(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(ConfigurationError, match=r"^ALL_PROXY="):
        check_network_environment()
    monkeypatch.setenv("NO_PROXY", value)
    check_network_environment()


@pytest.mark.parametrize("arguments", EVERY, ids=lambda arguments: "-".join(arguments[:2])[:12])
def test_without_a_home_directory_every_command_names_home(
    arguments: list[str], command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    ended = command_line.run(*arguments)
    assert ended.code == 2
    assert ended.err.startswith(f"amd-service: HOME is not set, and the account {os.getuid()} has no home directory: ")
    assert len(ended.err.splitlines()) == 1


def test_without_a_home_directory_a_path_with_a_tilde_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMD_CACHE_DIR", "~no-such-account/cache")
    with pytest.raises(ConfigurationError, match=r"^AMD_CACHE_DIR=~no-such-account/cache: must not begin with ~"):
        load_settings()
    with pytest.raises(ModelUnusable, match=r"^AMD_MODEL=~no-such-account/model begins with ~"):
        hub.locate("~no-such-account/model", None)


@pytest.mark.parametrize("arguments", EVERY, ids=lambda arguments: "-".join(arguments[:2])[:12])
def test_in_a_deleted_working_directory_every_command_ends_with_one_line(
    arguments: list[str], command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.rmdir()
    ended = command_line.run(*arguments)
    message = "amd-service: the working directory was deleted: start in another directory\n"
    assert (ended.code, ended.err) == (2, message)
    tmp_path.mkdir()


def test_an_unreadable_working_directory_ends_with_one_line(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setitem(Settings.model_config, "env_file", ".env")
    monkeypatch.setattr(Path, "is_fifo", refuse)  # root can read every directory
    ended = command_line.run("requeue")
    cure = "this account cannot read the working directory, so .env cannot be read: start in another directory"
    assert (ended.code, ended.err) == (2, f"amd-service: {cure}\n")


def test_without_a_temporary_directory_the_demo_names_tmpdir(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    with monkeypatch.context() as patch:  # pytest also needs temporary files, after the test
        patch.setattr(tempfile, "gettempdir", refuse)
        ended = command_line.run("demo", CALLS)
    assert ended.code == 2
    assert ended.err.splitlines()[-1].startswith("amd-service: no temporary directory is writable (")
    assert ended.err.splitlines()[-1].endswith("set TMPDIR to a writable directory")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOTDIR], ids=errno.errorcode.get)
def test_a_model_cache_that_cannot_be_written_names_hf_home(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, local_files_only: bool, **__: object) -> str:
        if local_files_only:
            raise LocalEntryNotFoundError("not cached")
        raise OSError(number, os.strerror(number), "/models")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    for locate in (hub.locate, hub.fetch):
        with pytest.raises(ModelUnusable) as caught:
            locate("owner/name", None)
        message = str(caught.value)
        assert message.startswith(f"owner/name cannot be stored in the local cache {constants.HF_HUB_CACHE} (")
        assert "Set HF_HOME to a writable directory" in message


def test_a_download_of_the_model_names_the_broken_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_cached(*_: object, **__: object) -> str:
        raise LocalEntryNotFoundError("not cached")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", not_cached)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(
        ModelUnusable, match=r"^owner/name cannot be downloaded: ALL_PROXY=socks5://127\.0\.0\.1:1080: a S"
    ):
        hub.locate("owner/name", None)


SCRIPT = """
import sys
from amd_service.cli.process import prepare_output
prepare_output()
for number in range({lines}): print("ü – 漢字")
print("ü – 漢字", file=sys.stderr)
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_text_that_the_locale_does_not_have_is_escaped(encoding: str) -> None:
    variables = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-c", SCRIPT.format(lines=1)]
    ended = subprocess.run(command, capture_output=True, check=True, env=variables)
    assert ended.stdout == ended.stderr == "ü – 漢字\n".encode(encoding, "backslashreplace")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_output_stream_is_no_error(closed: str) -> None:
    command = f"{sys.executable} -m amd_service --version {closed}; echo $?"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "0"
    assert ended.stderr == ""


def test_output_into_a_closed_pipe_ends_without_a_traceback() -> None:
    command = f"{sys.executable} -m amd_service --help | head -c 1"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert ended.stderr == ""
