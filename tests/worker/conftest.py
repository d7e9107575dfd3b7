"""An event that lets a test finish a running recording."""

import asyncio

import pytest


@pytest.fixture
def finish() -> asyncio.Event:
    return asyncio.Event()
