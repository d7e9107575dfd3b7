"""A process of the service as a child of this one, with settings of its own and none of the user's."""

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import httpx2

from amd_service.errors import ConfigurationError
from amd_service.settings import Account
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0

COMMAND = (sys.executable, "-m", "amd_service")


@dataclass(frozen=True, slots=True)
class ServiceProcess:
    """A running child. `url`: where it answers."""

    process: asyncio.subprocess.Process
    url: str

    async def wait_until_alive(self) -> None:
        """Wait until its door is open. Raises ConfigurationError when it ends instead."""
        async with asyncio.timeout(START_TIMEOUT_S), httpx2.AsyncClient(trust_env=False) as client:
            while not await _get(client, f"{self.url}/health"):
                self._check_running()
                await asyncio.sleep(0.05)

    async def wait_until_ready(self) -> None:
        """Wait until it can judge. Raises ConfigurationError with the reason when it never will."""
        async with asyncio.timeout(START_TIMEOUT_S), httpx2.AsyncClient(trust_env=False) as client:
            while not (report := await _get(client, f"{self.url}/ready/classifier")).get("ready"):
                self._check_running()
                if report.get("phase") == "failed":
                    raise ConfigurationError(str(report.get("reason")))
                await asyncio.sleep(0.1)

    def _check_running(self) -> None:
        if self.process.returncode is not None:
            raise ConfigurationError(f"the service ended with exit code {self.process.returncode} instead of starting")


@asynccontextmanager
async def run_service(
    command: Sequence[str],
    *,
    database_url: str,
    simulated_twilio: SimulatedTwilio,
    account: Account,
    **settings: object,
) -> AsyncIterator[ServiceProcess]:
    """`command` on a free loopback port, fetching from `simulated_twilio`; `settings` by AMD_ name in lower case.

    Ends it at the end: SIGTERM, and SIGKILL where that does not do.
    """
    # An empty directory of its own, so that no .env of the user's reaches into it.
    with reserved_port() as port, tempfile.TemporaryDirectory() as elsewhere:
        url = f"http://127.0.0.1:{port}"
        doors = {"public_url": url, "port": port, "worker_port": port, **settings}
        environment = service_environment(
            database_url=database_url, simulated_twilio=simulated_twilio, account=account, **doors
        )
        process = await asyncio.create_subprocess_exec(*command, env=environment, cwd=elsewhere)
        try:
            yield ServiceProcess(process, url)
        finally:
            await stop(process)


def service_environment(
    *, database_url: str, simulated_twilio: SimulatedTwilio, account: Account, **settings: object
) -> dict[str, str]:
    """This process's environment with these settings (by AMD_ name in lower case) and none of the user's.

    It does not reconcile by itself unless told to.
    """
    values = {
        "database_url": database_url,
        "twilio_api_url": simulated_twilio.url,
        "log_level": "error",
        "reconcile_every_s": 0,
        **settings,
    }
    environment = _without_settings(os.environ) | {f"AMD_{name.upper()}": str(value) for name, value in values.items()}
    environment["TWILIO_ACCOUNT_SID"] = account.account_sid
    environment["TWILIO_AUTH_TOKEN"] = account.auth_tokens[0].get_secret_value()
    return environment


async def stop(process: asyncio.subprocess.Process) -> None:
    """SIGTERM and wait; SIGKILL if it takes too long. Does nothing to a process that has ended."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def free_port() -> int:
    """A loopback port that nobody listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def reserved_port() -> Iterator[int]:
    """A loopback port for a child that binds it by number, as a listener that may use an address again.

    Bound here as well, though nobody listens: whoever asks for any port meanwhile is given another.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        if sys.platform != "linux":
            held.close()  # elsewhere one that is bound twice is refused
        yield port


def _without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(("AMD_", "TWILIO_"))}


async def _get(client: httpx2.AsyncClient, url: str) -> dict[str, object]:
    """The JSON object at `url`, empty where nothing answers."""
    try:
        answer = (await client.get(url)).json()
    except (httpx2.TransportError, ValueError):
        return {}
    return answer if isinstance(answer, dict) else {}
