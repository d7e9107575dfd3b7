"""Scripts of the pages that compute: the decision rule, and the writer of WAV files."""

import json
import subprocess
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
import soundfile

from amd_service.detection.audio.decode import decode
from amd_service.detection.audio.input import AudioInput
from amd_service.detection.classifier.request_queue import Priority
from amd_service.detection.decision import Policy, decide
from amd_service.detection.detector import Detector
from amd_service.domain import Anchor, LongWindowRule, Scores
from amd_service.web.pages.explanations import percent
from amd_service.web.pages.rendering import STATIC_FOLDER
from tests.support.detectors import ready, speech
from tests.support.models import StubEngine
from tests.support.signals import file_of

pytestmark = pytest.mark.node

DECIDE = """
const decided = cases.map(({ scored, minimum, rule }) => module.decide(scored, minimum, rule));
process.stdout.write(JSON.stringify(decided));
"""
ENCODE = """
const channels = cases.channels.map((samples) => Float32Array.from(samples));
process.stdout.write(new Uint8Array(module.encodeWav(channels, cases.rate_hz)));
"""
Case = dict[str, Any]


def run_script(script: str, code: str, cases: object) -> bytes:
    """Import a script of the pages as `module`, and run `code` on `cases`."""
    start = f"""
import {{ readFileSync }} from "node:fs";
import * as module from "{(STATIC_FOLDER / script).as_uri()}";
const cases = JSON.parse(readFileSync(0, "utf8"));
"""
    run = subprocess.run(
        ("node", "--input-type=module", "--eval", start + code),
        input=json.dumps(cases).encode(),
        capture_output=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr.decode()
    return run.stdout


def decide_in_browser(cases: list[Case]) -> list[Case | None]:
    decisions: list[Case | None] = json.loads(run_script("decision.js", DECIDE, cases))
    return decisions


def case(scores: list[Scores], policy: Policy) -> Case:
    minimum = {"human": policy.min_confidence_human, "voicemail": policy.min_confidence_voicemail}
    return {"scored": [{"scores": each.as_dict()} for each in scores], "minimum": minimum, "rule": policy.long_window}


def test_one_window_is_decided_as_the_service_decides_it() -> None:
    random = Random(1)
    # Multiples of 1/64 are exact, so many scores equal a threshold or each other.
    values = [number / 64 for number in range(65)]
    drawn = [(random.choice(values), *random.choices(values[33:-1], k=2)) for _ in range(3000)]
    drawn += [(random.random(), random.uniform(0.5, 1), random.uniform(0.5, 1)) for _ in range(3000)]
    cases = [
        (Scores(human, 1 - human), Policy(for_human, for_voicemail, 2000, 5000, Anchor.AUTO))
        for human, for_human, for_voicemail in drawn
    ]
    found = decide_in_browser([case([scores], policy) for scores, policy in cases])
    for (scores, policy), decision in zip(cases, found, strict=True):
        expected = decide(scores, policy)
        assert decision is not None
        assert (decision["label"], decision["reason"]) == (expected.label, expected.reason)
        assert decision["confidence"] == expected.confidence


@pytest.mark.anyio
@pytest.mark.parametrize("rule", LongWindowRule)
async def test_two_windows_are_decided_as_the_detector_decides_them(rule: LongWindowRule) -> None:
    random, engine = Random(2), StubEngine()
    audio = AudioInput(data=file_of(speech(2.0)), one_sided=True)
    async with ready(engine, window_ms=1000, long_window_ms=1500, long_window=rule) as detector:
        cases = []
        for _ in range(40):
            # The scores of the first and of the longer window. The engine returns logits: ln(p) gives p after softmax.
            human = {1.0: random.choice([0.1, 0.3, 0.6, 0.9]), 1.5: random.choice([0.1, 0.3, 0.6, 0.9])}
            engine.answer = lambda clip, human=human: tuple(  # type: ignore[misc]
                np.log([human[len(clip) / 16_000], 1 - human[len(clip) / 16_000]])
            )
            cases.append(await judged_and_scored(detector, audio))
    found = decide_in_browser([sent for sent, _ in cases])
    decided = [(each["label"], each["reason"], each["index"] + 1) for each in found if each]
    assert decided == [expected for _, expected in cases]
    some = {("human", "confident", 2), ("voicemail", "confident", 2), ("undecided", "low_confidence", 2)}
    only = ("human", "confident", 1) if rule is LongWindowRule.UNSURE else ("undecided", "disagreement", 2)
    assert set(decided) >= {*some, only}


async def judged_and_scored(detector: Detector, audio: AudioInput) -> tuple[Case, tuple[str, str, int]]:
    """Return both windows, and the detector's label and reason with its number of runs."""
    verdict = await detector.judge(audio, priority=Priority.INTERACTIVE)
    longer = await detector.score_longer_window(audio, verdict.runs[0], Priority.INTERACTIVE)
    assert longer is not None
    scores = [verdict.runs[0].scores, longer.scores]
    return case(scores, detector.policy), (str(verdict.label), str(verdict.reason), len(verdict.runs))


def test_a_verdict_is_explained_by_its_last_run_even_if_an_earlier_run_is_confident() -> None:
    # The rhythm contradicted the first window, so the service scored the longer one.
    scored = [case([Scores(0.9, 0.1), Scores(0.2, 0.8)], Policy(0.7, 0.7, 2000, 5000, Anchor.AUTO))]
    code = """
    const runs = [0, 1, 2];
    const decisions = runs.map((each) => module.decideByLastRun(cases[0].scored, each, cases[0].minimum, "unsure"));
    process.stdout.write(JSON.stringify(decisions));
    """
    none, first, second = json.loads(run_script("decision.js", code, scored))
    assert none is None
    assert (first["label"], first["index"], second["label"], second["index"]) == ("human", 0, "voicemail", 1)


def test_without_a_window_there_is_no_decision() -> None:
    policy = Policy(0.7, 0.7, 2000, 5000, Anchor.AUTO)
    assert decide_in_browser([case([], policy)]) == [None]
    stricter = replace(policy, min_confidence_human=0.99)
    [decision] = decide_in_browser([case([Scores(0.95, 0.05)], stricter)])
    assert decision is not None
    assert decision["label"] == "undecided"


@pytest.mark.parametrize("rate_hz", [8000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_service_reads_the_wav_files_of_the_browser(rate_hz: int, channels: int) -> None:
    tone = np.sin(np.arange(rate_hz // 10) / 20)
    samples = np.stack([tone * scale for scale in (0.9, -0.4)[:channels]])
    body = run_script("wav.js", ENCODE, {"channels": samples.tolist(), "rate_hz": rate_hz})
    tracks = decode(body, content_type="audio/wav", max_s=None)
    assert tracks.rate_hz == rate_hz
    assert tracks.samples.shape == samples.shape
    assert np.abs(tracks.samples - samples).max() < 1e-4


def test_samples_beyond_full_scale_are_clipped(tmp_path: Any) -> None:
    body = run_script("wav.js", ENCODE, {"channels": [[-2.0, -1.0, 0.0, 1.0, 2.0]], "rate_hz": 8000})
    (tmp_path / "clipped.wav").write_bytes(body)
    samples, _ = soundfile.read(tmp_path / "clipped.wav", dtype="int16")
    assert samples.tolist() == [-32767, -32767, 0, 32767, 32767]


def test_a_probability_looks_the_same_in_scripts_and_in_templates() -> None:
    random = Random(2)
    values = [0.0, 1.0, 0.7, 0.989, 0.6999999, 0.57, *(number / 1000 for number in range(1000))]
    values += [random.random() for _ in range(3000)]
    code = "process.stdout.write(JSON.stringify(cases.map(module.percent)));"
    assert json.loads(run_script("decision.js", code, values)) == [percent(value) for value in values]
