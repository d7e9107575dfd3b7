"""Fixtures for all tests: a migrated Postgres. Tests have no network except this machine."""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from functools import cache
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hypothesis
import pytest

from amd_service.database.embedded import embedded_postgres
from amd_service.database.embedded.sharing import THROWAWAY_PREFIX
from amd_service.database.pool import Database
from amd_service.errors import ConfigurationError
from amd_service.lab.synthesis.render import require_engines
from amd_service.lab.synthesis.utterances import plan_utterances
from amd_service.settings import Settings
from tests.support import chromium, client_generator, distribution, node_toolchain
from tests.support.log_configuration import log_plain_tracebacks
from tests.support.postgres import Emptying, clone, drop, with_database

_CONNECTING = ("socket.connect", "socket.sendto")

# Without the extra `otel`, these modules cannot be imported.
collect_ignore = [] if find_spec("opentelemetry") else ["tracing", "end_to_end/test_traces.py"]


def pytest_configure(config: pytest.Config) -> None:
    """With AMD_REQUIRE_TOOLS, fail if a tool is missing. Ban connections to other machines."""
    if os.environ.get("AMD_REQUIRE_TOOLS") and _lacking():
        raise pytest.UsageError(f"AMD_REQUIRE_TOOLS is set, but {'; '.join(_lacking().values())}")
    _forget_the_users_settings()
    _ban_other_machines()
    log_plain_tracebacks()
    # The profile uses the same examples in every run, also on a slow machine, so a failure is caused by a change of the
    # code. `--hypothesis-profile=default` searches for new examples.
    hypothesis.settings.load_profile("ci")


def _forget_the_users_settings() -> None:
    """Ignore the developer's environment variables and `.env`, so that every test runs with the same settings."""
    Settings.model_config["env_file"] = None
    for name in [name for name in os.environ if name.startswith(("AMD_", "TWILIO_"))]:
        if not name.startswith(("AMD_TEST_", "AMD_REQUIRE_")):
            del os.environ[name]


def _ban_other_machines() -> None:
    """Raise an error if a test connects to another machine. An audit hook sees every Python socket."""
    database_host = urlsplit(os.environ.get("AMD_TEST_DATABASE_URL", "")).hostname
    allowed = {"localhost", database_host}

    def guard(event: str, arguments: tuple[object, ...]) -> None:
        if event in _CONNECTING:
            address = arguments[1]
            if isinstance(address, tuple) and not _is_loopback(str(address[0]), allowed):
                raise RuntimeError(f"a test tried to reach {address}: only this machine is allowed")
        elif event == "socket.getaddrinfo" and not _is_loopback(_text(arguments[0]), allowed):
            raise RuntimeError(f"a test tried to look up {arguments[0]!r}: only this machine is allowed")

    sys.addaudithook(guard)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Like `--dist loadfile`, but one worker runs all tests in Chromium: they share a service and a browser."""
    return distribution.make_scheduler(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests whose tools are not installed."""
    lacking = _lacking()
    left_out = [item for item in items if any(item.get_closest_marker(marker) for marker in lacking)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the deselected markers: pytest-xdist does not count deselected tests."""
    for marker, lack in _lacking().items():
        terminalreporter.write_line(f"deselected: the tests marked `{marker}`; {lack}")


@cache
def _lacking() -> dict[str, str]:
    """Return the missing tools of each marker."""
    lacks = {
        "node": node_toolchain.missing(),
        "client_generator": client_generator.missing(),
        "browser": chromium.missing(),
        "speech_engines": _missing_engines(),
        "pgbouncer": _missing_programs("pgbouncer"),
        "proxies": _missing_programs("nginx", "caddy"),
        "otel": _missing_otel(),
        "prometheus": _missing_programs("prometheus", "promtool", package="prometheus"),
    }
    return {marker: lack for marker, lack in lacks.items() if lack}


def _missing_otel() -> str | None:
    return None if find_spec("opentelemetry") else "opentelemetry is not installed: pip install 'amd-service[otel]'"


def _missing_programs(*names: str, package: str | None = None) -> str | None:
    """The missing programs and how to install them. Debian keeps some of them in /usr/sbin.

    `package`: Debian's package. Without it, each package has the name of its program.
    """
    path = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin"
    missing = [name for name in names if not shutil.which(name, path=path)]
    return f"not installed: {', '.join(missing)}; apt install {package or ' '.join(missing)}" if missing else None


def _missing_engines() -> str | None:
    try:
        # The tests render only English voices and espeak-ng.
        require_engines(one for one in plan_utterances(1, scale=0.001) if "en" in one.voice.languages)
    except ConfigurationError as error:
        return str(error)
    return None


def _text(host: object) -> str:
    return host.decode() if isinstance(host, bytes) else str(host or "localhost")


def _is_loopback(host: str, allowed: set[str | None]) -> bool:
    if host in allowed:
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def test_run() -> str:
    """A name that the xdist workers of one run have in common and no other run has."""
    return os.environ.get("PYTEST_XDIST_TESTRUNUID", f"{os.getpid()}")[:12]


@pytest.fixture(scope="session")
def server_url(test_run: str) -> Iterator[str]:
    """A Postgres server for the run: AMD_TEST_DATABASE_URL, or an embedded server that the xdist workers share."""
    given = os.environ.get("AMD_TEST_DATABASE_URL")
    if given:
        yield given
        return
    directory = Path(tempfile.gettempdir()) / f"{THROWAWAY_PREFIX}tests-{test_run}"
    with asyncio.Runner() as runner:
        server = embedded_postgres(directory, throwaway=True)
        yield runner.run(server.__aenter__())
        runner.run(server.__aexit__(None, None, None))


@pytest.fixture(scope="session")
def database_url(server_url: str, test_run: str) -> Iterator[str]:
    """The empty, migrated database of this xdist worker, cloned from the run's template."""
    template = f"amd_test_{test_run}_template"
    own = f"amd_test_{test_run}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    asyncio.run(clone(server_url, template, own))
    yield with_database(server_url, own)
    asyncio.run(drop(server_url, template, own))


@pytest.fixture(scope="session")
def emptying(database_url: str) -> Iterator[Emptying]:
    emptying = Emptying(database_url)
    yield emptying
    emptying.close()


@pytest.fixture
def emptied_database_url(database_url: str, emptying: Emptying) -> str:
    emptying.empty()
    return database_url


@pytest.fixture
async def database(emptied_database_url: str, anyio_backend: str) -> AsyncIterator[Database]:
    """An open Database whose tables are empty."""
    database = Database(emptied_database_url)
    yield database
    await database.dispose()
