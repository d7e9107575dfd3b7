"""`amd-service simulate` as a child process."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amd_service.simulator.service_process import COMMAND, stop


@dataclass(frozen=True, slots=True)
class SimulateProcess:
    """A running `amd-service simulate --json`. `environment`: the variables that it printed."""

    process: asyncio.subprocess.Process
    url: str
    environment: Mapping[str, str]

    async def next_event(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        event: dict[str, Any] = json.loads(await self.process.stdout.readline())
        return event

    async def events_until(self, name: str) -> list[dict[str, Any]]:
        """Return the next events, up to the first with this name."""
        events = [await self.next_event()]
        while events[-1]["event"] != name:
            events.append(await self.next_event())
        return events


@asynccontextmanager
async def run_simulate(*arguments: str, cwd: Path, **settings: str) -> AsyncIterator[SimulateProcess]:
    """Run the command on a free port, in a folder without `.env`. `settings`: environment variables."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AMD_", "TWILIO_"))}
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("simulate", *arguments, "--json", "--port", "0", "--pace", "16"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**inherited, **settings},
        cwd=cwd,
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        line = await process.stdout.readline()
        assert line, (await process.stderr.read()).decode()
        start = json.loads(line)
        yield SimulateProcess(process, start["url"], start["environment"])
    finally:
        await stop(process)
