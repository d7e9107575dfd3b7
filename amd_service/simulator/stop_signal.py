"""Waits until the user stops a command that runs until then."""

import asyncio
import signal


async def wait_for_signal() -> None:
    """Wait for SIGINT (Ctrl-C) or SIGTERM. From then on, these signals do nothing else."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
