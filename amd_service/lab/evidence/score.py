"""Measures how well beeps are found in scenes."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from amd_service.detection.audio.activity import measure_activity
from amd_service.detection.evidence.findings import Evidence
from amd_service.detection.evidence.measure import measure_evidence
from amd_service.domain import Waveform
from amd_service.lab.evidence.scenes import Scene
from amd_service.lab.synthesis.render import RATE_HZ

# A beep that is found farther from the truth than this is a false alarm, and the true one is missed.
FOUND_MS = 50.0
LENGTH_MS = 20_000


@dataclass(slots=True)
class BeepScore:
    """Counts over scenes.

    `hours`: length of all scenes. `false_alarms`: by kind of scene. `errors_ms`: distance of each found start.
    """

    beeps: int = 0
    found: int = 0
    hours: float = 0.0
    false_alarms: Counter[str] = field(default_factory=Counter)
    errors_ms: list[float] = field(default_factory=list)

    @property
    def recall(self) -> float:
        return self.found / self.beeps if self.beeps else 0.0

    @property
    def false_alarms_per_hour(self) -> float:
        return self.false_alarms.total() / self.hours if self.hours else 0.0


def evidence_of(scene: Scene) -> Evidence:
    """Measure the evidence of a scene as the service does. Raises ValueError for less than 100 ms of audio."""
    activity = measure_activity(Waveform(scene.samples, RATE_HZ), length_ms=LENGTH_MS)
    if activity is None:
        raise ValueError(f"the scene has only {len(scene.samples)} samples")
    return measure_evidence(activity)


def score_beeps(scenes: Iterable[Scene]) -> BeepScore:
    """Search each scene for its beep. A beep that starts within FOUND_MS of the truth is found."""
    score = BeepScore()
    for scene in scenes:
        beep = evidence_of(scene).beep
        score.hours += len(scene.samples) / RATE_HZ / 3600
        score.beeps += scene.beep_ms is not None
        error_ms = abs(beep.start_ms - scene.beep_ms[0]) if beep and scene.beep_ms else None
        if error_ms is not None and error_ms <= FOUND_MS:
            score.found += 1
            score.errors_ms.append(error_ms)
        elif beep is not None:
            score.false_alarms[scene.kind] += 1
    return score
