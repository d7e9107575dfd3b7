"""A service process that does not start."""

import asyncio
import sys

import pytest

from amd_service.errors import ConfigurationError
from amd_service.simulator import service_process
from amd_service.simulator.service_process import ServiceProcess, free_port, stop

pytestmark = pytest.mark.anyio


async def test_a_start_that_takes_too_long_is_an_error_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_process, "START_TIMEOUT_S", 0.2)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(60)")
    try:
        service = ServiceProcess(process, f"http://127.0.0.1:{free_port()}")
        for wait in (service.wait_until_alive, service.wait_until_ready):
            with pytest.raises(ConfigurationError, match=r"^the service did not start within 0\.2 s; run the command"):
                await wait()
    finally:
        await stop(process)
