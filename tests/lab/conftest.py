"""What the lab's tests share: a corpus, and a stand-in for Twilio."""

from collections.abc import AsyncIterator

import numpy as np
import pytest

from amd_service.lab.dataset.corpus import Corpus
from amd_service.lab.synthesis.lines import Kind, plan
from amd_service.lab.synthesis.render import RATE_HZ
from amd_service.simulator.twilio.media_host import MediaHost
from amd_service.simulator.twilio.server import SimulatedTwilio, serve_simulated_twilio
from tests.simulator.stub_service import ACCOUNT


@pytest.fixture(scope="session")
def small_corpus() -> Corpus:
    """Every voice, each kind of line once; noise bursts in place of speech, greetings longer than answers.

    Rendered in a second: the lab's rules do not depend on real speech.
    """
    lines = plan(1, scale=0.001)
    rng = np.random.default_rng(1)
    sounds = [
        (rng.standard_normal(RATE_HZ * (4 if line.kind is Kind.GREETING else 1)) * 3000).astype(np.int16)
        for line in lines
    ]
    bounds = np.concatenate([[0], np.cumsum([len(sound) for sound in sounds])])
    return Corpus(lines, np.concatenate(sounds), bounds)


@pytest.fixture
async def simulated_twilio() -> AsyncIterator[SimulatedTwilio]:
    async with serve_simulated_twilio(MediaHost({ACCOUNT.account_sid: ACCOUNT.basic_auth})) as running:
        yield running
    assert running.media.violations == []
