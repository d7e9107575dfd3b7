"""The whole real flow on recorded calls: throwaway Postgres, the service as a child process, replay, table."""

import asyncio
import os
import secrets
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
from pydantic import SecretStr
from rich.console import Console

from amd_service.domain import AccountSid
from amd_service.errors import ConfigurationError
from amd_service.lab.rehearse import rehearse
from amd_service.lab.stand_in.media_host import MediaHost
from amd_service.lab.stand_in.server import StandIn, serve_stand_in
from amd_service.runtime import throwaway_database
from amd_service.settings import Account

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0


async def demonstrate(directory: Path, *, model: str, as_json: bool) -> bool:
    """Replay `directory` against a service of its own and print how each call ended; whether all ended as expected."""
    account = Account(
        account_sid=AccountSid(f"AC{secrets.token_hex(16)}"), auth_tokens=[SecretStr(secrets.token_hex(16))]
    )
    Console(stderr=True).print("Starting a throwaway Postgres, a stand-in for Twilio, and the service …")
    async with (
        throwaway_database() as database_url,
        serve_stand_in(MediaHost({account.account_sid: account.basic_auth})) as stand_in,
        _service(database_url, stand_in, account, model) as url,
    ):
        return await rehearse(directory, url=url, account=account, stand_in=stand_in, as_json=as_json)


@asynccontextmanager
async def _service(database_url: str, stand_in: StandIn, account: Account, model: str) -> AsyncIterator[str]:
    """`amd-service serve` as a child on a free loopback port; its URL once it takes calls and can judge."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    environment = _clean_environment() | {
        "AMD_DATABASE_URL": database_url,
        "AMD_TWILIO_API_URL": stand_in.url,
        "AMD_PUBLIC_URL": url,
        "AMD_HOST": "127.0.0.1",
        "AMD_PORT": str(port),
        "AMD_MODEL": model,
        "AMD_LOG_LEVEL": "error",
        "TWILIO_ACCOUNT_SID": account.account_sid,
        "TWILIO_AUTH_TOKEN": account.auth_tokens[0].get_secret_value(),
    }
    # An empty directory of its own, so that no .env of the user's reaches into the demonstration.
    with tempfile.TemporaryDirectory() as elsewhere:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "amd_service", "serve", env=environment, cwd=elsewhere
        )
        try:
            await _until_ready(url, child)
            yield url
        finally:
            await _stop(child)


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("AMD_", "TWILIO_"))}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


async def _until_ready(url: str, child: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(START_TIMEOUT_S), httpx2.AsyncClient(trust_env=False) as client:
        while child.returncode is None:
            report = await _classifier_report(client, url)
            if report.get("phase") == "ready":
                return
            if report.get("phase") == "failed":
                raise ConfigurationError(str(report.get("reason")))
            await asyncio.sleep(0.1)
    raise ConfigurationError(f"the service ended with exit code {child.returncode} instead of starting")


async def _classifier_report(client: httpx2.AsyncClient, url: str) -> dict[str, object]:
    try:
        answer = (await client.get(f"{url}/ready/classifier")).json()
    except (httpx2.TransportError, ValueError):
        return {}
    return answer if isinstance(answer, dict) else {}


async def _stop(child: asyncio.subprocess.Process) -> None:
    if child.returncode is not None:
        return
    child.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()
