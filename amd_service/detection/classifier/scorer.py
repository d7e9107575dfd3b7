"""Turns windows into a score for each label, with a loaded model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Self

import numpy as np
from numpy.typing import NDArray

from amd_service.detection.classifier.engines.engine import ChosenEngine, Engine
from amd_service.detection.classifier.model import CURE, RATE_HZ, ModelFiles
from amd_service.detection.classifier.model_windows import WindowLengths
from amd_service.detection.classifier.softmax import softmax
from amd_service.domain import Label, ModelIdentity, ModelRun, Scores, Window
from amd_service.errors import ModelFailed, ModelUnusable
from amd_service.settings import Settings
from amd_service.telemetry import get_logger

OpenFiles = Callable[[Settings], ModelFiles]
OpenEngine = Callable[[ModelFiles, Settings], ChosenEngine]

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Scorer:
    """One engine with one checked model. Use a scorer only on the thread that loaded it."""

    files: ModelFiles
    chosen: ChosenEngine
    identity: ModelIdentity
    lengths: WindowLengths

    @property
    def engine(self) -> Engine:
        return self.chosen.engine

    @classmethod
    def load(cls, settings: Settings, open_files: OpenFiles, open_engine: OpenEngine) -> Self:
        """Open the configured model in the configured engine. Blocks for seconds. Raises as `open_files`."""
        started = perf_counter()
        files = open_files(settings)
        chosen = open_engine(files, settings)
        engine = chosen.engine
        identity = ModelIdentity(files.id, files.revision, files.weights_sha256, engine.name, engine.precision)
        log.info(
            "model loaded",
            model=files.id,
            revision=files.revision,
            weights_sha256=files.weights_sha256,
            labels=",".join(files.labels.labels),
            labels_from=str(files.labels.source),
            engine=engine.name,
            precision=engine.precision,
            seconds=round(perf_counter() - started, 2),
        )
        if files.is_demo:
            log.warning(
                "demonstration model in use", note="trained on synthetic speech, only for demonstrations and tests"
            )
        return cls(files, chosen, identity, WindowLengths.from_settings(settings, files.windows))

    def gives_same_scores_as(self, other: Self) -> bool:
        """Return True if both scorers have the same files, the same settings and the same engine."""
        return (self.identity, self.files) == (other.identity, other.files)

    def warm_up(self) -> None:
        """Run the model on noise, once for each length of window.

        Raises ModelUnusable if an output is not finite.
        """
        longest_ms = max(self.lengths.distinct_ms)
        noise = np.random.default_rng(0).normal(0.0, 0.1, RATE_HZ * longest_ms // 1000).astype(np.float32)
        for length_ms in self.lengths.distinct_ms:
            [outcome] = self.score([Window(noise[: RATE_HZ * length_ms // 1000], start_ms=0, onset_ms=None)])
            if isinstance(outcome, ModelFailed):
                raise ModelUnusable(f"{self.files.folder}: {outcome}: the weights are damaged. {CURE}") from outcome

    def score(self, windows: Sequence[Window]) -> list[ModelRun | ModelFailed]:
        """Run windows of equal length in one batch.

        If the model's output for a window is not finite, the result for this window is a ModelFailed.
        """
        started = perf_counter()
        logits = self.engine.logits([window.samples for window in windows]).astype(np.float64)
        inference_ms = (perf_counter() - started) * 1000
        return [self._outcome(window, row, inference_ms) for window, row in zip(windows, logits, strict=True)]

    def _outcome(self, window: Window, logits: NDArray[np.float64], inference_ms: float) -> ModelRun | ModelFailed:
        if not np.isfinite(logits).all():
            return ModelFailed(f"{self.identity.id} returned {logits.tolist()}, which is not a probability")
        probabilities = softmax(logits, self.files.temperature).tolist()
        by_label = dict(zip(self.files.labels.labels, probabilities, strict=True))
        return ModelRun(
            scores=Scores(human=by_label[Label.HUMAN], voicemail=by_label[Label.VOICEMAIL]),
            window_start_ms=window.start_ms,
            window_ms=window.duration_ms,
            inference_ms=inference_ms,
            model=self.identity,
        )
