"""Runs the service as a child process with the given settings and without the user's settings."""

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import httpx2

from amd_service.errors import ConfigurationError
from amd_service.settings import Account
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio

# The first start after an installation reads PyTorch from the disk, which takes minutes on a slow disk.
START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 30.0

COMMAND = (sys.executable, "-m", "amd_service")


@dataclass(frozen=True, slots=True)
class ServiceProcess:
    """A running child process of the service, reachable at `url`."""

    process: asyncio.subprocess.Process
    url: str

    async def wait_until_alive(self) -> None:
        """Wait until the service responds to requests. Raises ConfigurationError if it does not start."""
        async with _limit_start(), httpx2.AsyncClient(trust_env=False) as client:
            while not await _get_json(client, f"{self.url}/health"):
                self._raise_if_ended()
                await asyncio.sleep(0.05)

    async def wait_until_ready(self) -> None:
        """Wait until the classifier is ready. Raises ConfigurationError with the reason if it does not start."""
        async with _limit_start(), httpx2.AsyncClient(trust_env=False) as client:
            while not (report := await _get_json(client, f"{self.url}/ready/classifier")).get("ready"):
                self._raise_if_ended()
                if report.get("phase") == "failed":
                    raise ConfigurationError(str(report.get("reason")))
                await asyncio.sleep(0.1)

    def _raise_if_ended(self) -> None:
        if self.process.returncode is not None:
            raise ConfigurationError(f"the service ended with exit code {self.process.returncode} instead of starting")


@asynccontextmanager
async def _limit_start() -> AsyncIterator[None]:
    """Limit the block to START_TIMEOUT_S seconds. Raises ConfigurationError after this time."""
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            yield
    except TimeoutError as error:
        cure = "run the command again: the second start is faster, because the disk cache then contains PyTorch"
        raise ConfigurationError(f"the service did not start within {START_TIMEOUT_S:g} s; {cure}") from error


@asynccontextmanager
async def run_service(
    command: Sequence[str],
    *,
    database_url: str,
    simulated_twilio: SimulatedTwilio,
    account: Account,
    **settings: object,
) -> AsyncIterator[ServiceProcess]:
    """Run `command` on a free loopback port. The process fetches recordings from `simulated_twilio`.

    `settings`: values by name of the AMD_ setting, in lower case without the prefix. When the context ends, the process
    gets SIGTERM. If the process has not ended after STOP_TIMEOUT_S seconds, it gets SIGKILL.
    """
    # In an empty working directory, the service does not find the user's .env file.
    with reserved_port() as port, tempfile.TemporaryDirectory() as elsewhere:
        url = f"http://127.0.0.1:{port}"
        addresses = {"public_url": url, "port": port, "worker_port": port, **settings}
        environment = service_environment(
            database_url=database_url, simulated_twilio=simulated_twilio, account=account, **addresses
        )
        process = await asyncio.create_subprocess_exec(*command, env=environment, cwd=elsewhere)
        try:
            yield ServiceProcess(process, url)
        finally:
            await stop(process)


def service_environment(
    *, database_url: str, simulated_twilio: SimulatedTwilio, account: Account, **settings: object
) -> dict[str, str]:
    """Return this process's environment with the given settings and without the user's settings.

    `settings`: values by name of the AMD_ setting, in lower case without the prefix. Periodic reconciliation is off by
    default.
    """
    values = {
        "database_url": database_url,
        "twilio_api_url": simulated_twilio.url,
        "log_level": "error",
        "reconcile_every_s": 0,
        **settings,
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AMD_", "TWILIO_"))}
    environment = inherited | {f"AMD_{name.upper()}": str(value) for name, value in values.items()}
    environment["TWILIO_ACCOUNT_SID"] = account.account_sid
    environment["TWILIO_AUTH_TOKEN"] = account.auth_tokens[0].get_secret_value()
    return environment


async def stop(process: asyncio.subprocess.Process) -> None:
    """Send SIGTERM and wait; after STOP_TIMEOUT_S send SIGKILL. The function does nothing if the process has ended."""
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
    """Return a loopback port that is currently unused."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def reserved_port() -> Iterator[int]:
    """Return a loopback port for a child process that binds the port by number with SO_REUSEADDR.

    This process also binds the port, without listening. So the kernel does not give the port to another process that
    requests any free port.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        if sys.platform != "linux":
            held.close()  # systems other than Linux refuse to bind a port twice
        yield port


async def _get_json(client: httpx2.AsyncClient, url: str) -> dict[str, object]:
    """Fetch the JSON object at `url`.

    Returns an empty object if the response is not a JSON object or the connection fails.
    """
    try:
        body = (await client.get(url)).json()
    except (httpx2.TransportError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}
