"""A small corpus for the lab's tests."""

import numpy as np
import pytest

from amd_service.lab.synthesis.corpus import Corpus
from amd_service.lab.synthesis.render import RATE_HZ
from amd_service.lab.synthesis.utterances import Kind, plan_utterances


@pytest.fixture(scope="session")
def small_corpus() -> Corpus:
    """Every voice has each kind of utterance once. Noise bursts replace speech; greetings are longer than answers.

    Rendered in a second: the lab's rules do not depend on real speech.
    """
    utterances = plan_utterances(1, scale=0.001)
    rng = np.random.default_rng(1)
    sounds = [
        (rng.standard_normal(RATE_HZ * (4 if utterance.kind is Kind.GREETING else 1)) * 3000).astype(np.int16)
        for utterance in utterances
    ]
    bounds = np.concatenate([[0], np.cumsum([len(sound) for sound in sounds])])
    return Corpus(utterances, np.concatenate(sounds), bounds)
