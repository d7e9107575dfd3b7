"""The rendered utterances, cached on disk, with their speakers."""

import hashlib
import json
import logging
import random
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amd_service.lab.synthesis.render import Sound, render, require_engines
from amd_service.lab.synthesis.utterances import Kind, Utterance, plan_utterances
from amd_service.lab.synthesis.voices import Engine, Split, Voice

log = logging.getLogger(__name__)

CACHE = Path(".cache/lab")

# Share of call starts by engine. The few voices of flite and festival come from recordings of people.
_ENGINE_SHARE = {Engine.ESPEAK: 0.5, Engine.FLITE: 0.28, Engine.FESTIVAL: 0.22}


@dataclass(frozen=True, eq=False)
class Corpus:
    """`samples`: int16, all utterances in sequence at 8 kHz. `bounds`: start index of each utterance, then the end.

    `engines`: only voices of these engines speak.
    """

    utterances: Sequence[Utterance]
    samples: NDArray[np.int16]
    bounds: NDArray[np.int64]
    engines: tuple[Engine, ...] = tuple(Engine)

    def sound(self, index: int) -> Sound:
        """Return utterance `index`, float32 in [-1, 1]."""
        return self.samples[self.bounds[index] : self.bounds[index + 1]].astype(np.float32) / np.float32(32768)

    @cached_property
    def _by_use(self) -> dict[tuple[Voice, str, Kind], list[int]]:
        found: dict[tuple[Voice, str, Kind], list[int]] = {}
        for index, utterance in enumerate(self.utterances):
            found.setdefault((utterance.voice, utterance.language, utterance.kind), []).append(index)
        return found

    @cached_property
    def _complete(self) -> dict[tuple[Split, Engine], list[tuple[Voice, str]]]:
        """Find pairs of voice and language with every kind of utterance, which thus occur under both labels."""
        pairs = sorted({(voice, language) for voice, language, _ in self._by_use}, key=repr)
        found: dict[tuple[Split, Engine], list[tuple[Voice, str]]] = {}
        for voice, language in pairs:
            if all((voice, language, kind) in self._by_use for kind in Kind):
                found.setdefault((voice.split, voice.engine), []).append((voice, language))
        return found

    def speaker(self, split: Split, rng: random.Random) -> tuple[Voice, str]:
        """Return a random voice of the split, and a language in which the voice has utterances for both labels."""
        engines = [engine for engine in self.engines if (split, engine) in self._complete]
        engine = rng.choices(engines, [_ENGINE_SHARE[engine] for engine in engines])[0]
        return rng.choice(self._complete[split, engine])

    def say(self, voice: Voice, language: str, kind: Kind, rng: random.Random) -> Sound:
        """Return a random utterance of `kind` by `voice`."""
        return self.sound(rng.choice(self._by_use[voice, language, kind]))


def load_corpus(
    seed: int, *, scale: float = 1.0, splits: Collection[Split] = tuple(Split), cache: Path = CACHE, jobs: int = 2
) -> Corpus:
    """Load the utterances of `plan_utterances(seed, scale=scale)`. Render those that are not in the cache.

    The corpus contains only the voices of `splits`. The utterances of a split do not depend on the other splits. The
    cache has a file for each voice, so an interrupted rendering continues.
    """
    utterances = [utterance for utterance in plan_utterances(seed, scale=scale) if utterance.voice.split in splits]
    require_engines(utterances)
    spoken = [list(group) for _, group in groupby(utterances, key=lambda utterance: utterance.voice)]
    paths = [_rendered(group, cache, jobs) for group in spoken]
    lengths = np.concatenate([_stored(path, "lengths") for path in paths])
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    samples = np.empty(bounds[-1], np.int16)
    end = 0
    for path in paths:
        part = _stored(path, "samples")
        samples[end : end + len(part)] = part
        end += len(part)
    return Corpus(utterances, samples, bounds)


def _rendered(utterances: Sequence[Utterance], cache: Path, jobs: int) -> Path:
    """Render the utterances of a voice unless the cache has them. The name of the file depends on the plan."""
    digest = hashlib.sha256(json.dumps([asdict(utterance) for utterance in utterances]).encode()).hexdigest()[:16]
    path = cache / f"{utterances[0].voice.name}-{digest}.npz"
    if not path.exists():
        log.info("render %d utterances of %s", len(utterances), utterances[0].voice.name)
        corpus = build_corpus(utterances, jobs=jobs)
        path.parent.mkdir(parents=True, exist_ok=True)
        # An interrupted run must not leave a partial file under the final name.
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, samples=corpus.samples, lengths=np.diff(corpus.bounds))
        partial.replace(path)
    return path


def _stored(path: Path, name: str) -> NDArray[np.int16]:
    with np.load(path) as stored:
        return np.asarray(stored[name])


def build_corpus(utterances: Sequence[Utterance], *, jobs: int = 2) -> Corpus:
    """Render these utterances into a corpus."""
    sounds = [(np.clip(sound, -1, 1) * 32767).astype(np.int16) for sound in render(utterances, jobs=jobs)]
    bounds = np.concatenate([[0], np.cumsum([len(sound) for sound in sounds])])
    return Corpus(utterances, np.concatenate(sounds), bounds)
