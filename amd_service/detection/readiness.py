"""Whether the classifier may serve: loaded, warm, and with a label order that nothing speaks against."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from amd_service.detection.classifier.inference import Classifier, ClassifierState, Phase
from amd_service.detection.decision import top_label
from amd_service.detection.label_check import GoldenClips, Hearing, Proof, assess, objection
from amd_service.domain import Label, Scores
from amd_service.errors import AmdError, ClassifierUnavailable, ModelUnusable
from amd_service.telemetry import Metrics, get_logger

# A clip's bytes in, what the model says of it out; None where there is nothing to show to the model.
Listen = Callable[[bytes], Awaitable[Scores | None]]

log = get_logger(__name__)


class Readiness:
    """Opens once the golden clips have been judged by a loaded model, unless they contradict it."""

    def __init__(self, classifier: Classifier, golden: GoldenClips, listen: Listen, metrics: Metrics) -> None:
        self._classifier = classifier
        self._golden = golden
        self._listen = listen
        self._metrics = metrics
        self._outcome: ClassifierState | None = None
        self._decided = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.proof = Proof.UNPROVEN

    @property
    def state(self) -> ClassifierState:
        """The classifier's state until it is ready, then the gate's own."""
        state = self._classifier.state
        if not state.ready:
            return state
        return self._outcome or ClassifierState(Phase.PROVING, "judging the golden clips")

    def start(self) -> None:
        """Begin to wait for the classifier, in a task of its own."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def wait_ready(self) -> None:
        """Wait until the classifier may serve, however long that takes."""
        while not self.state.ready:
            await self._decided.wait()
            if self._outcome is None or not self._outcome.ready:
                await asyncio.Event().wait()  # contradicted: only a restart with other settings changes that
            await self._classifier.until(lambda state: state.ready)

    async def wait_ready_or_raise(self) -> None:
        """Wait until the classifier may serve. Raises ModelUnusable, naming the cure, when it may not."""
        while not self.state.ready:
            await self._classifier.wait_ready()
            await self._decided_or_classifier_gone()
            if self._outcome is not None and not self._outcome.ready:
                raise ModelUnusable(self._outcome.reason)

    async def _decided_or_classifier_gone(self) -> None:
        waits = [
            asyncio.create_task(self._decided.wait()),
            asyncio.ensure_future(self._classifier.until(lambda state: not state.ready)),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _run(self) -> None:
        while self._outcome is None:
            await self._classifier.until(lambda state: state.ready)
            try:
                self.proof = await self._prove()
                self._outcome = self._judge()
            except ClassifierUnavailable:
                log.warning("the classifier went away while judging the golden clips, which begins again")
            except Exception as error:
                log.exception("unexpected error while judging the golden clips")
                self._outcome = ClassifierState(Phase.FAILED, f"the golden clips could not be judged: {error}")
        self._decided.set()

    async def _prove(self) -> Proof:
        clips = self._golden.clips()
        hearings = [await self._hear(*clip) for clip in await asyncio.to_thread(_read, clips)]
        proof = assess(hearings)
        self._metrics.model_proof.clear()
        self._metrics.model_proof.labels(proof).set(1)
        right = sum(_is_right(hearing) for hearing in hearings)
        log.info("golden clips judged", proof=str(proof), clips=len(hearings), right=right, own=self._golden.own)
        return proof

    async def _hear(self, label: Label, path: Path, data: bytes) -> Hearing:
        try:
            return Hearing(label, await self._listen(data))
        except ClassifierUnavailable:
            raise
        except AmdError as error:
            log.warning("a golden clip could not be judged", clip=str(path), error=str(error))
        except Exception:
            # One clip decides nothing; an engine that fails on all of them takes its thread down.
            log.exception("unexpected error while judging a golden clip", clip=str(path))
        return Hearing(label, None)

    def _judge(self) -> ClassifierState:
        order = self._classifier.labels
        assert order is not None
        reason = self._golden.shortage() or objection(self.proof, order, self._golden)
        if reason is not None:
            log.error("classifier not ready", reason=reason, proof=str(self.proof))
            return ClassifierState(Phase.FAILED, reason)
        if self.proof is Proof.CONTRADICTED:
            log.warning("golden clips contradict the label order; serving all the same", cure=order.swapped_line)
        elif self.proof is not Proof.PROVEN:
            log.warning(
                "golden clips do not prove the label order", proof=str(self.proof), labels_from=str(order.source)
            )
        return ClassifierState(Phase.READY, f"the model is loaded and warm; its label order is {self.proof}")


def _read(clips: list[tuple[Label, Path]]) -> list[tuple[Label, Path, bytes]]:
    return [(label, path, path.read_bytes()) for label, path in clips]


def _is_right(hearing: Hearing) -> bool:
    return hearing.scores is not None and top_label(hearing.scores) is hearing.label
