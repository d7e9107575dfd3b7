"""Decides whether the classifier may serve.

The model must be loaded and warmed up, and the golden clips (recordings with known labels) must not contradict the
model's label order.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from amd_service.detection.classifier.inference import Classifier
from amd_service.detection.classifier.state import ClassifierState, Phase
from amd_service.detection.classifier.temporary_errors import retry_delay_s, temporary_cause
from amd_service.detection.decision import top_label
from amd_service.detection.label_check import ClipResult, GoldenClips, Proof, assess, refusal_reason
from amd_service.domain import Label, Scores
from amd_service.errors import AmdError, ClassifierUnavailable, ModelUnusable
from amd_service.telemetry import Metrics, get_logger

# Computes the scores of a clip from its bytes. The scores are None if the clip has no speech.
ScoreClip = Callable[[bytes], Awaitable[Scores | None]]

log = get_logger(__name__)

# Delay in seconds before the golden clips are scored again after a temporary error. Each error doubles the delay.
RETRY_BASE_S = 1.0


class Readiness:
    """Scores the golden clips when the model is loaded, and decides whether the classifier may serve."""

    def __init__(self, classifier: Classifier, golden: GoldenClips, score_clip: ScoreClip, metrics: Metrics) -> None:
        self._classifier = classifier
        self._golden = golden
        self._score_clip = score_clip
        self._metrics = metrics
        self._outcome: ClassifierState | None = None
        self._progress = "scoring the golden clips"
        self._decided = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.proof = Proof.UNPROVEN

    @property
    def state(self) -> ClassifierState:
        """The classifier's state while the classifier is not ready.

        Later, the state includes the result of the golden clips.
        """
        state = self._classifier.state
        if not state.is_ready:
            return state
        return self._outcome or ClassifierState(Phase.PROVING, self._progress)

    def start(self) -> None:
        """Start the check as a task. The task waits until the classifier is ready."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def wait_ready(self) -> None:
        """Wait until the classifier may serve. The method waits without a time limit."""
        while not self.state.is_ready:
            await self._decided.wait()
            if self._outcome is None or not self._outcome.is_ready:
                # Wait forever: the model was refused, and only a restart with other settings can change the result.
                await asyncio.Event().wait()
            await self._classifier.wait_for(lambda state: state.is_ready)

    async def wait_ready_or_raise(self) -> None:
        """Wait until the classifier may serve.

        Raises ModelUnusable if the classifier cannot serve. The error message names the cure.
        """
        while not self.state.is_ready:
            await self._classifier.wait_ready_or_raise()
            await self._wait_for_outcome_or_crash()
            if self._outcome is not None and not self._outcome.is_ready:
                raise ModelUnusable(self._outcome.reason)

    async def _wait_for_outcome_or_crash(self) -> None:
        waits = [
            asyncio.create_task(self._decided.wait()),
            asyncio.ensure_future(self._classifier.wait_for(lambda state: not state.is_ready)),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _run(self) -> None:
        failures = 0
        while self._outcome is None:
            await self._classifier.wait_for(lambda state: state.is_ready)
            try:
                self.proof = await self._score_clips()
                self._outcome = self._decide()
            except ClassifierUnavailable:
                log.warning("classifier unavailable while scoring the golden clips, retrying")
            except Exception as error:
                cause = temporary_cause(error)
                if cause is None:
                    log.exception("unexpected error while scoring the golden clips")
                    self._outcome = ClassifierState(Phase.FAILED, f"the golden clips could not be scored: {error}")
                else:
                    failures += 1
                    self._progress = f"the golden clips could not be scored because of a temporary error: {cause}"
                    log.warning("golden clips not scored, retrying", error=cause)
                    await asyncio.sleep(retry_delay_s(failures, RETRY_BASE_S))
        self._decided.set()

    async def _score_clips(self) -> Proof:
        clips = self._golden.clips()
        contents = await asyncio.to_thread(lambda: [(label, path, path.read_bytes()) for label, path in clips])
        results = [await self._result(*clip) for clip in contents]
        proof = assess(results)
        self._metrics.model_proof.clear()
        self._metrics.model_proof.labels(proof).set(1)
        right = sum(result.scores is not None and top_label(result.scores) is result.label for result in results)
        log.info("golden clips scored", proof=str(proof), clips=len(results), right=right, own=self._golden.own)
        return proof

    async def _result(self, label: Label, path: Path, data: bytes) -> ClipResult:
        try:
            return ClipResult(label, await self._score_clip(data))
        except ClassifierUnavailable:
            raise
        except AmdError as error:
            log.warning("golden clip not scored", clip=str(path), error=str(error))
        except Exception:
            # Continue with the next clip: one failed clip does not decide the result. An engine that fails on every
            # clip makes the inference thread crash.
            log.exception("unexpected error while scoring a golden clip", clip=str(path))
        return ClipResult(label, None)

    def _decide(self) -> ClassifierState:
        files = self._classifier.files
        order = files.labels if files else None
        assert order is not None
        reason = self._golden.shortage() or refusal_reason(self.proof, order, self._golden)
        if reason is not None:
            if self._classifier.is_service:
                log.error("classifier not ready", reason=reason, proof=str(self.proof))
            return ClassifierState(Phase.FAILED, reason)
        if self.proof is Proof.CONTRADICTED:
            log.warning("label order contradicted by golden clips, serving anyway", cure=order.swapped_line)
        elif self.proof is not Proof.PROVEN:
            log.warning("label order not proven", proof=str(self.proof), labels_from=str(order.source))
        return ClassifierState(Phase.READY, f"the model is loaded and warm; its label order is {self.proof}")
