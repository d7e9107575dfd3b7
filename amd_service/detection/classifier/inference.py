"""The classifier: one owned thread that loads the model and runs it, and a bounded line in front of it."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from time import perf_counter
from typing import Self

from amd_service.detection.classifier.engines.engine import ChosenEngine, load_engine
from amd_service.detection.classifier.labels import LabelOrder
from amd_service.detection.classifier.model import CURE, open_model
from amd_service.detection.classifier.request_queue import Priority, RequestQueue, Ticket
from amd_service.detection.classifier.scorer import OpenEngine, OpenFiles, Scorer
from amd_service.domain import ModelIdentity, ModelRun, Window
from amd_service.errors import ClassifierUnavailable, ModelFailed, ModelUnusable
from amd_service.settings import Settings
from amd_service.telemetry import Metrics, get_logger

__all__ = ["Classifier", "ClassifierState", "Phase", "Priority"]

# Deaths without a window scored in between, after which the thread stays down: it would only die again.
MOST_DEATHS = 5
# Errors of the engine in a row, after which it is loaded again: a lost device or memory does not come back by itself.
MOST_MISHAPS = 5
# Of the grace time: for the window in hand at shutdown. Requests and recordings have theirs before.
FAREWELL_SHARE = 0.1

log = get_logger(__name__)


class Phase(StrEnum):
    """How far the classifier is. `PROVING`: it runs, and golden clips are being judged (detection/label_check.py)."""

    STOPPED = "stopped"
    LOADING = "loading"
    WARMING = "warming"
    PROVING = "proving"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ClassifierState:
    """The phase and, in words for people, why; when failed, `reason` names the cure."""

    phase: Phase
    reason: str

    @property
    def ready(self) -> bool:
        return self.phase is Phase.READY


class Classifier:
    """Scores windows with the configured model.

    `start` returns at once: loading and warm-up happen on the owned thread, and a model that cannot be used leaves
    the state `failed` with the cure; neither ever raises out of `start`. Every accepted window ends in a result or
    an error, also when the thread dies; it is then replaced and loads the model again.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        *,
        open_files: OpenFiles = open_model,
        open_engine: OpenEngine = load_engine,
        patience_s: float = 120.0,
        hub_retry_s: float = 30.0,
        farewell_s: float | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._open_files = open_files
        self._open_engine = open_engine
        self._patience_s = patience_s
        self._hub_retry_s = hub_retry_s
        self._farewell_s = settings.shutdown_grace_s * FAREWELL_SHARE if farewell_s is None else farewell_s
        self._line = RequestQueue(settings.inference_queue, metrics.inference_queue)
        self._state = ClassifierState(Phase.STOPPED, "the classifier has not been started")
        self._changed: Future[None] = Future()
        self._changing = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._scorer: Scorer | None = None
        self._deaths = 0
        self._mishaps = 0
        self._typical_s = 0.5

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def state(self) -> ClassifierState:
        return self._state

    @property
    def ready(self) -> bool:
        return self._state.ready

    @property
    def identity(self) -> ModelIdentity | None:
        """The model that is loaded, None before the first load has succeeded."""
        return self._scorer.identity if self._scorer else None

    @property
    def labels(self) -> LabelOrder | None:
        """Which output index means what, and how that is known; None before the first load has succeeded."""
        return self._scorer.files.labels if self._scorer else None

    @property
    def chosen(self) -> ChosenEngine | None:
        """The engine that serves, and why it; None before the first load has succeeded."""
        return self._scorer.chosen if self._scorer else None

    def start(self) -> None:
        """Start the thread. Returns at once."""
        self._launch("loading the model")

    async def until(self, condition: Callable[[ClassifierState], bool]) -> ClassifierState:
        """Wait for a state that meets the condition."""
        while True:
            # Taken before the state is read: a change in between resolves it.
            changed, state = self._changed, self._state
            if condition(state):
                return state
            # Shielded: a caller that gives up must not cancel the future that others wait for.
            await asyncio.shield(asyncio.wrap_future(changed))

    async def wait_ready(self) -> ModelIdentity:
        """Wait until the model is loaded and warm. Raises ModelUnusable, naming the cure, when it cannot be."""
        state = await self.until(lambda state: state.phase in (Phase.READY, Phase.FAILED, Phase.STOPPED))
        if not state.ready or self._scorer is None:
            raise ModelUnusable(state.reason)
        return self._scorer.identity

    async def close(self) -> None:
        """End the thread after the window in hand; whoever still waits gets ClassifierUnavailable."""
        self._stopping.set()
        self._line.close("the classifier is shutting down")
        # A thread that died just before may have put a new one in its place, which then sees `_stopping`.
        while (thread := self._thread) is not None and thread.is_alive():
            await asyncio.to_thread(thread.join, self._farewell_s)
            if thread.is_alive():
                log.warning("the inference thread is still busy and is left behind")
                break
        self._enter(Phase.STOPPED, "the classifier is shut down")

    async def score(self, window: Window, *, priority: Priority) -> ModelRun:
        """Run the model on one window of at least one second, at its own length.

        Raises ClassifierUnavailable (not ready, thread died, no result in time), QueueFull, ModelFailed. When the
        caller is cancelled its window leaves the line.
        """
        ticket = self._line.join(window, priority, estimate_s=lambda waiting: waiting * self._typical_s)
        try:
            async with asyncio.timeout(self._patience_s):
                return await asyncio.wrap_future(ticket.result)
        except TimeoutError as error:
            raise ClassifierUnavailable(f"no result from the model within {self._patience_s:g} s") from error
        finally:
            self._line.leave(ticket)

    def _launch(self, reason: str) -> None:
        self._enter(Phase.LOADING, reason)
        self._thread = threading.Thread(target=self._live, name="inference", daemon=True)
        self._thread.start()

    def _enter(self, phase: Phase, reason: str) -> None:
        """Change the state and with it who may join the line; wakes whoever waits for a state."""
        if phase is Phase.READY:
            self._line.open()
        else:
            self._line.close(f"the classifier is not ready: {reason}")
        with self._changing:
            self._state = ClassifierState(phase, reason)
            changed, self._changed = self._changed, Future()
        self._metrics.classifier_ready.set(phase is Phase.READY)
        changed.set_result(None)

    # From here on: the owned thread.

    def _live(self) -> None:
        try:
            while not self._stopping.is_set():
                scorer = self._prepare()
                if scorer is None:
                    return
                self._serve(scorer)
        except BaseException as death:  # noqa: BLE001  # the promise is that nobody waits for a dead thread
            self._die(death)

    def _prepare(self) -> Scorer | None:
        """Load and warm up, again and again while the hub is away. None: the state says why, the thread may go."""
        while not self._stopping.is_set():
            try:
                return self._load()
            except ClassifierUnavailable as error:
                self._fail(str(error))
                self._stopping.wait(self._hub_retry_s)
            except ModelUnusable as error:
                self._fail(str(error))
                return None
            except Exception as error:
                log.exception("unexpected error while loading the model", model=self._settings.model)
                self._fail(f"{self._settings.model} could not be loaded: {type(error).__name__}: {error}. {CURE}")
                return None
        return None

    def _load(self) -> Scorer:
        self._enter(Phase.LOADING, "loading the model")
        scorer = Scorer.load(self._settings, self._open_files, self._open_engine)
        if self._scorer is not None and not self._scorer.answers_like(scorer):
            # Loaded again after the thread died; what was proven about the first model would be said of another.
            raise ModelUnusable(f"{scorer.files.folder} has changed while it was in use: restart the service")
        self._enter(Phase.WARMING, "running the model for the first time")
        scorer.warm_up()
        self._scorer = scorer
        self._mishaps = 0
        if not self._stopping.is_set():
            self._enter(Phase.READY, "the model is loaded and warm")
        return scorer

    def _fail(self, reason: str) -> None:
        self._enter(Phase.FAILED, reason)
        log.error("classifier not ready", reason=reason)

    def _serve(self, scorer: Scorer) -> None:
        while tickets := self._line.take(scorer.engine.max_batch):
            # False for a caller that has left in the meantime: its window is not run.
            awaited = [ticket for ticket in tickets if ticket.result.set_running_or_notify_cancel()]
            if awaited:
                self._answer(scorer, awaited)

    def _answer(self, scorer: Scorer, tickets: list[Ticket]) -> None:
        started = perf_counter()
        try:
            outcomes = scorer.score([ticket.window for ticket in tickets])
        except Exception as error:  # the callers get it; the next window may well be fine
            self._mishaps += 1
            if self._mishaps >= MOST_MISHAPS:
                _refuse(tickets, ClassifierUnavailable(f"the engine failed {self._mishaps} times in a row: {error!r}"))
                raise
            _refuse(tickets, error)
            return
        except BaseException as death:
            _refuse(tickets, ClassifierUnavailable(f"the inference thread died of {death!r}"))
            raise
        self._deaths = self._mishaps = 0
        self._typical_s += 0.2 * ((perf_counter() - started) / len(tickets) - self._typical_s)
        for ticket, outcome in zip(tickets, outcomes, strict=True):
            if isinstance(outcome, ModelFailed):
                ticket.result.set_exception(outcome)
            else:
                ticket.result.set_result(outcome)

    def _die(self, death: BaseException) -> None:
        """Last act of a dying thread: put a new one in its place. Changing the state ends every wait."""
        self._metrics.inference_restarts.inc()
        self._deaths += 1
        log.error("the inference thread died", exc_info=death)
        if self._stopping.is_set():
            return
        if self._deaths < MOST_DEATHS:
            self._launch(f"loading the model again: the inference thread died of {death!r}")
        else:
            self._fail(f"the inference thread died {self._deaths} times in a row, last of {death!r}. {CURE}")


def _refuse(tickets: list[Ticket], error: Exception) -> None:
    for ticket in tickets:
        ticket.result.set_exception(error)
