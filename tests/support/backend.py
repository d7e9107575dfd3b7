"""Run the compiled route handlers of docs/nextjs against the service."""

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.node_toolchain import FOLDER

UPLOAD, CALL, EVENTS = "app/api/amd/route.js", "app/api/calls/[sid]/route.js", "app/api/amd-events/route.js"


@dataclass(frozen=True, slots=True)
class Answer:
    """Response of a route handler."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Backend:
    """The compiled route handlers. Each request starts a new Node process, which calls the service at `url`."""

    compiled: Path

    async def upload(self, url: str, path: Path | None, *, field: str = "audio", **environment: str) -> Answer:
        """POST /api/amd with a file as a form field."""
        file = None if path is None else {"path": str(path), "field": field, "type": "audio/wav"}
        return await self._ask(UPLOAD, "POST", url, environment, file=file)

    async def read_call(self, url: str, sid: str, **environment: str) -> Answer:
        """GET /api/calls/{sid}."""
        return await self._ask(CALL, "GET", url, environment, params={"sid": sid})

    async def receive_event(self, body: str, headers: dict[str, str], **environment: str) -> Answer:
        """POST /api/amd-events."""
        return await self._ask(EVENTS, "POST", "", environment, text=body, headers=headers)

    async def _ask(self, route: str, method: str, url: str, environment: dict[str, str], **request: object) -> Answer:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AMD_")}
        node = await asyncio.create_subprocess_exec(
            "node",
            FOLDER / "ask.cjs",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=inherited | {"AMD_SERVICE_URL": url, "NODE_PATH": str(FOLDER / "node_modules")} | environment,
        )
        job = {"route": str(self.compiled / route), "method": method, **request}
        output, _ = await node.communicate(json.dumps(job).encode())
        assert node.returncode == 0
        return Answer(**json.loads(output))
