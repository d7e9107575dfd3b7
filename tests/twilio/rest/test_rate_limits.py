"""Retries after a 429."""

from collections.abc import AsyncIterator

import pytest

from amd_service.errors import TooManyRequests
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.media_host import ScriptedResponse
from amd_service.twilio.recordings import http_client
from amd_service.twilio.rest import RestClient
from tests.support.rest import ACCOUNT, CA, CHANGES, listed_calls, settings

pytestmark = pytest.mark.anyio

PAUSES_S = [4.0, 8.0, 16.0, 32.0, 60.0]


@pytest.fixture
def waits() -> list[float]:
    """Seconds of each delay before a retry."""
    return []


@pytest.fixture
async def retrying(simulated_twilio: SimulatedTwilio, waits: list[float]) -> AsyncIterator[RestClient]:
    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    configured = settings(twilio_api_url=simulated_twilio.url)
    async with http_client(configured) as client:
        yield RestClient(client, configured, retry_rate_limits=True, sleep=sleep)


def refusal(retry_after: str | None = None) -> ScriptedResponse:
    return ScriptedResponse(429, headers={} if retry_after is None else {"retry-after": retry_after})


@pytest.mark.parametrize(
    ("retry_after", "wait_s"), [(None, 4.0), ("0", 4.0), ("37", 37.0), ("60", 60.0)], ids=["absent", "0", "37", "60"]
)
async def test_a_get_is_retried_after_the_delay_that_twilio_asks_for(
    simulated_twilio: SimulatedTwilio, retrying: RestClient, waits: list[float], retry_after: str | None, wait_s: float
) -> None:
    simulated_twilio.rest.scripted = [refusal(retry_after)]
    assert await listed_calls(retrying) == [CA]
    assert waits == [wait_s]


async def test_delays_grow_and_the_last_429_is_raised(
    simulated_twilio: SimulatedTwilio, retrying: RestClient, waits: list[float]
) -> None:
    simulated_twilio.rest.scripted = [refusal() for _ in range(6)]
    with pytest.raises(TooManyRequests):
        await retrying.get_call(ACCOUNT, CA)
    assert (waits, simulated_twilio.rest.scripted) == (PAUSES_S, [])
    # The next request starts again with the first delay.
    simulated_twilio.rest.scripted = [refusal() for _ in range(5)]
    assert await retrying.get_call(ACCOUNT, CA) is not None
    assert waits == PAUSES_S * 2


async def test_a_429_is_raised_immediately_if_twilio_asks_for_more_than_a_minute(
    simulated_twilio: SimulatedTwilio, retrying: RestClient, waits: list[float]
) -> None:
    simulated_twilio.rest.scripted = [refusal("61")]
    with pytest.raises(TooManyRequests) as refused:
        await retrying.get_call(ACCOUNT, CA)
    assert (refused.value.retry_after_s, waits) == (61.0, [])


@pytest.mark.parametrize("name", CHANGES)
async def test_requests_that_change_something_are_not_retried(
    simulated_twilio: SimulatedTwilio, retrying: RestClient, waits: list[float], name: str
) -> None:
    simulated_twilio.rest.scripted = [refusal()]
    with pytest.raises(TooManyRequests):
        await CHANGES[name](retrying)
    assert (len(simulated_twilio.rest.requests), waits) == (1, [])
