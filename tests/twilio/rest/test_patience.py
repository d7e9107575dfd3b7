"""A patient client waits where Twilio wants to be left alone, for a while."""

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
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how long it would have waited, each time."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("amd_service.twilio.rest.retrying_transport.sleep", sleep)
    return waits


@pytest.fixture
async def patient(simulated_twilio: SimulatedTwilio) -> AsyncIterator[RestClient]:
    configured = settings(twilio_api_url=simulated_twilio.url)
    async with http_client(configured) as client:
        yield RestClient(client, configured, patient=True)


def refusal(retry_after: str | None = None) -> ScriptedResponse:
    return ScriptedResponse(429, headers={} if retry_after is None else {"retry-after": retry_after})


@pytest.mark.parametrize(
    ("retry_after", "wait_s"), [(None, 4.0), ("0", 4.0), ("37", 37.0), ("60", 60.0)], ids=["unsaid", "0", "37", "60"]
)
async def test_it_asks_again_when_twilio_lets_it(
    simulated_twilio: SimulatedTwilio, patient: RestClient, waited: list[float], retry_after: str | None, wait_s: float
) -> None:
    simulated_twilio.rest.scripted = [refusal(retry_after)]
    assert await listed_calls(patient) == [CA]
    assert waited == [wait_s]


async def test_it_waits_longer_each_time_and_gives_up_in_the_end(
    simulated_twilio: SimulatedTwilio, patient: RestClient, waited: list[float]
) -> None:
    simulated_twilio.rest.scripted = [refusal() for _ in range(6)]
    with pytest.raises(TooManyRequests):
        await patient.call(ACCOUNT, CA)
    assert (waited, simulated_twilio.rest.scripted) == (PAUSES_S, [])
    # The next request is a new one.
    simulated_twilio.rest.scripted = [refusal() for _ in range(5)]
    assert await patient.call(ACCOUNT, CA) is not None
    assert waited == PAUSES_S * 2


async def test_more_than_a_minute_is_not_waited_for(
    simulated_twilio: SimulatedTwilio, patient: RestClient, waited: list[float]
) -> None:
    simulated_twilio.rest.scripted = [refusal("61")]
    with pytest.raises(TooManyRequests) as refused:
        await patient.call(ACCOUNT, CA)
    assert (refused.value.retry_after_s, waited) == (61.0, [])


@pytest.mark.parametrize("name", CHANGES)
async def test_what_changes_something_is_not_repeated(
    simulated_twilio: SimulatedTwilio, patient: RestClient, waited: list[float], name: str
) -> None:
    simulated_twilio.rest.scripted = [refusal()]
    with pytest.raises(TooManyRequests):
        await CHANGES[name](patient)
    assert (len(simulated_twilio.rest.requests), waited) == (1, [])
