"""Data directories of the embedded Postgres, and processes that use the embedded Postgres."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from amd_service.database.connection import connect
from amd_service.database.embedded.account import server_account
from amd_service.database.embedded.server import Server

IS_ROOT = os.geteuid() == 0


# Prints the URL when the server is running, and exits at the end of standard input.
SERVER_CLIENT_SCRIPT = """
import asyncio, os, sys
from pathlib import Path
import anyio.to_thread
from amd_service.database.embedded import embedded_postgres

async def main():
    directory = Path(sys.argv[1]) if sys.argv[1] else None
    async with embedded_postgres(directory) as url:
        print(url, flush=True)
        sys.stdin.read()

if len(sys.argv) > 2:
    # The other account may have no read access to the Python installation. Import now, because a thread would otherwise
    # import modules later.
    asyncio.run(anyio.to_thread.run_sync(int))
    os.setgroups([])
    os.setgid(int(sys.argv[3]))
    os.setuid(int(sys.argv[2]))
asyncio.run(main())
"""


class Process:
    """A process that uses an embedded server."""

    def __init__(self, directory: Path | None, *drop_to: int) -> None:
        arguments = [str(directory or ""), *map(str, drop_to)]
        self.popen = subprocess.Popen(
            [sys.executable, "-c", SERVER_CLIENT_SCRIPT, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.popen.stdout is not None
        self.url = self.popen.stdout.readline().strip()

    def leave(self) -> None:
        self.popen.communicate(timeout=100)
        assert self.popen.returncode == 0

    def kill(self) -> None:
        self.popen.kill()
        self.popen.communicate(timeout=100)


def _server(directory: Path) -> Server:
    return Server(directory.resolve(), server_account(), throwaway=False)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def owner(path: Path) -> int:
    return path.stat().st_uid


def exists(path: Path) -> bool:
    return path.exists()


def is_running(directory: Path) -> bool:
    return _server(directory)._running() is not None


def postmaster(directory: Path) -> int:
    found = _server(directory)._running()
    assert found is not None
    return found.pid


async def execute(url: str, statement: str) -> Any:
    connection = await connect(url, statement_timeout_s=10)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()
