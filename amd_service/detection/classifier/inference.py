"""The classifier: a bounded queue, and one thread that loads and runs the model."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count
from time import perf_counter
from typing import Self

from amd_service.detection.classifier.engines.engine import ChosenEngine, load_engine
from amd_service.detection.classifier.garbage_collector import freeze_objects
from amd_service.detection.classifier.model import CURE, ModelFiles, open_model
from amd_service.detection.classifier.request_queue import InferenceRequest, Priority, RequestQueue, fail_requests
from amd_service.detection.classifier.scorer import OpenEngine, OpenFiles, Scorer
from amd_service.detection.classifier.state import NOT_STARTED, ClassifierState, Phase
from amd_service.detection.classifier.temporary_errors import retry_delay_s, temporary_cause
from amd_service.domain import ModelIdentity, ModelRun, Window
from amd_service.errors import ClassifierUnavailable, ModelFailed, ModelUnusable
from amd_service.settings import Settings
from amd_service.telemetry import Metrics, get_logger

# Crashes without a scored window between them after which the thread is not restarted: it would crash again.
MAX_CRASHES = 5
# Engine errors in a row after which the model is loaded again: only this recovers from a lost device or lost memory.
MAX_ERRORS_IN_A_ROW = 5

log = get_logger(__name__)


class Classifier:
    """Scores windows with the configured model.

    `start` returns at once and never raises. The inference thread loads the model and warms it up. If the model cannot
    be used, the state becomes `failed`, and the reason in the state names the cure. Every accepted window ends with a
    result or an error, even if the thread crashes. After a crash a new thread loads the model again.
    `is_service`: False for a command that waits once and prints the reason of a failure. The reason is then not logged,
    and a failed load is not retried.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        *,
        open_files: OpenFiles = open_model,
        open_engine: OpenEngine = load_engine,
        queue: RequestQueue | None = None,
        result_timeout_s: float = 120.0,
        retry_base_s: float = 1.0,
        close_timeout_s: float | None = None,
        is_service: bool = True,
    ) -> None:
        self.is_service = is_service
        self._settings = settings
        self._metrics = metrics
        self._open_files = open_files
        self._open_engine = open_engine
        self._result_timeout_s = result_timeout_s
        self._retry_base_s = retry_base_s
        self._close_timeout_s = settings.shutdown_budget.window_s if close_timeout_s is None else close_timeout_s
        self._queue = queue or RequestQueue(settings.inference_queue, metrics.inference_queue)
        self._state = NOT_STARTED
        self._state_change: Future[None] = Future()
        self._state_lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._scorer: Scorer | None = None
        self._crashes = 0
        self._errors_in_a_row = 0
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
    def is_idle(self) -> bool:
        return self._queue.is_idle

    @property
    def identity(self) -> ModelIdentity | None:
        """The loaded model. The value is None until the first load has succeeded."""
        return self._scorer.identity if self._scorer else None

    @property
    def files(self) -> ModelFiles | None:
        """The files of the loaded model, with labels and windows. None until the first load has succeeded."""
        return self._scorer.files if self._scorer else None

    @property
    def chosen(self) -> ChosenEngine | None:
        """The engine in use and the reason for the choice. The value is None until the first load has succeeded."""
        return self._scorer.chosen if self._scorer else None

    @property
    def windows_at_once(self) -> int:
        """Number of concurrent windows that keep the engine busy: one batch runs while the next batch is prepared.

        The number is at most the number of windows that the queue accepts, so that recordings do not fill the queue.
        """
        max_batch = self._scorer.engine.max_batch if self._scorer else 1
        return min(2 * max_batch, max(2, self._settings.inference_queue))

    def start(self) -> None:
        """Start the thread and return at once."""
        self._start_thread("loading the model")

    async def wait_for(self, condition: Callable[[ClassifierState], bool]) -> ClassifierState:
        """Wait until the state meets the condition. Returns that state."""
        while True:
            # Read the future before the state: a state change between the two reads then resolves this future.
            changed, state = self._state_change, self._state
            if condition(state):
                return state
            # Shield the future: a cancelled caller must not cancel the future for other callers.
            await asyncio.shield(asyncio.wrap_future(changed))

    async def wait_ready_or_raise(self) -> ModelIdentity:
        """Wait until the model is loaded and warmed up.

        Raises ModelUnusable if the model cannot be used. The error message names the cure.
        """
        state = await self.wait_for(lambda state: state.phase in (Phase.READY, Phase.FAILED, Phase.STOPPED))
        if not state.is_ready or self._scorer is None:
            raise ModelUnusable(state.reason)
        return self._scorer.identity

    async def close(self) -> None:
        """Stop the thread after its current window. Waiting callers get ClassifierUnavailable."""
        self._stopping.set()
        self._queue.close("the classifier is shutting down")
        # A thread that crashed just before may have started a replacement thread. Wait for the replacement thread too.
        # The replacement thread ends because `_stopping` is set.
        while (thread := self._thread) is not None and thread.is_alive():
            await asyncio.to_thread(thread.join, self._close_timeout_s)
            if thread.is_alive():
                if self._state.phase is Phase.READY:  # a thread that loads the model holds no window
                    log.warning("inference thread still busy at shutdown")
                break
        self._set_state(Phase.STOPPED, "the classifier is shut down")

    async def score(self, window: Window, *, priority: Priority) -> ModelRun:
        """Run the model on one window, without padding. The window must have at least one second of audio.

        Raises ClassifierUnavailable (not ready, thread crashed, timeout), QueueFull or ModelFailed. If the caller is
        cancelled, its window is removed from the queue.
        """
        request = self._queue.submit(window, priority, estimate_s=lambda waiting: waiting * self._typical_s)
        try:
            async with asyncio.timeout(self._result_timeout_s):
                return await asyncio.wrap_future(request.result)
        except TimeoutError as error:
            raise ClassifierUnavailable(f"no result from the model within {self._result_timeout_s:g} s") from error
        finally:
            self._queue.withdraw(request)

    def _start_thread(self, reason: str) -> None:
        self._set_state(Phase.LOADING, reason)
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    def _set_state(self, phase: Phase, reason: str) -> None:
        """Change the state and wake all callers that wait for a state.

        The queue is opened if the new state is ready, and closed otherwise.
        """
        if phase is Phase.READY:
            self._queue.open()
        else:
            self._queue.close(f"the classifier is not ready: {reason}")
        with self._state_lock:
            self._state = ClassifierState(phase, reason)
            changed, self._state_change = self._state_change, Future()
        self._metrics.classifier_ready.set(phase is Phase.READY)
        changed.set_result(None)

    # The methods below run on the inference thread.

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                scorer = self._load_with_retries()
                if scorer is None:
                    return
                self._serve(scorer)
        except BaseException as error:  # noqa: BLE001  # callers must not wait for a thread that has ended
            self._handle_crash(error)

    def _load_with_retries(self) -> Scorer | None:
        """Load the model and warm it up. The thread retries after temporary errors, such as an outage of the hub.

        Returns None if loading failed. The state then contains the reason of the failure.
        """
        reason = "loading the model"
        for failures in count(1):
            if self._stopping.is_set():
                break
            try:
                return self._load(reason)
            except Exception as error:  # noqa: BLE001 - every error becomes the reason of the state
                obstacle = self._describe_if_temporary(error)
                if obstacle is None:
                    self._fail_to_load(error)
                    break
                if not self.is_service:
                    self._fail(obstacle)
                    break
                delay_s = retry_delay_s(failures, self._retry_base_s)
                self._fail(f"{obstacle}. Next attempt in {delay_s:.0f} s")
                self._stopping.wait(delay_s)
                reason = f"loading the model again: {obstacle}"
        return None

    def _describe_if_temporary(self, error: Exception) -> str | None:
        if isinstance(error, ClassifierUnavailable):
            return str(error)
        cause = temporary_cause(error)
        return cause and f"{self._settings.model} could not be loaded because of a temporary error: {cause}"

    def _fail_to_load(self, error: Exception) -> None:
        if isinstance(error, ModelUnusable):
            self._fail(str(error))
        else:
            log.exception("unexpected error while loading the model", model=self._settings.model)
            self._fail(f"{self._settings.model} could not be loaded: {type(error).__name__}: {error}. {CURE}")

    def _load(self, reason: str) -> Scorer:
        self._set_state(Phase.LOADING, reason)
        scorer = Scorer.load(self._settings, self._open_files, self._open_engine)
        if self._scorer is not None and not self._scorer.gives_same_scores_as(scorer):
            # This load follows a crash. The result of the golden clips (recordings with known labels) is only valid for
            # the first model.
            raise ModelUnusable(f"{scorer.files.folder} has changed since the model was loaded: restart the service")
        self._set_state(Phase.WARMING, "running the model for the first time")
        scorer.warm_up()
        if self._scorer is None:
            freeze_objects()
        self._scorer = scorer
        self._errors_in_a_row = 0
        if not self._stopping.is_set():
            self._set_state(Phase.READY, "the model is loaded and warm")
        return scorer

    def _fail(self, reason: str) -> None:
        self._set_state(Phase.FAILED, reason)
        if self.is_service:
            log.error("classifier not ready", reason=reason)

    def _serve(self, scorer: Scorer) -> None:
        while batch := self._queue.take_batch(scorer.engine.max_batch):
            # set_running_or_notify_cancel() returns False if the caller was cancelled: such a window is not run.
            awaited = [request for request in batch if request.result.set_running_or_notify_cancel()]
            if awaited:
                self._score_batch(scorer, awaited)

    def _score_batch(self, scorer: Scorer, batch: list[InferenceRequest]) -> None:
        started = perf_counter()
        try:
            outcomes = scorer.score([request.window for request in batch])
        except Exception as error:  # the callers get the error; the next window may succeed
            self._errors_in_a_row += 1
            if self._errors_in_a_row >= MAX_ERRORS_IN_A_ROW:
                reason = f"the engine failed {self._errors_in_a_row} times in a row: {error!r}"
                fail_requests(batch, ClassifierUnavailable(reason))
                raise
            fail_requests(batch, error)
            return
        except BaseException as error:
            fail_requests(batch, ClassifierUnavailable(f"the inference thread crashed: {error!r}"))
            raise
        self._crashes = self._errors_in_a_row = 0
        self._typical_s += 0.2 * ((perf_counter() - started) / len(batch) - self._typical_s)
        for request, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, ModelFailed):
                request.result.set_exception(outcome)
            else:
                request.result.set_result(outcome)

    def _handle_crash(self, error: BaseException) -> None:
        """Start a replacement thread, unless too many threads have crashed.

        The state change fails all queued requests and wakes all callers that wait for a state.
        """
        self._metrics.inference_restarts.inc()
        self._crashes += 1
        log.error("inference thread crashed", exc_info=error)
        if self._stopping.is_set():
            return
        if self._crashes < MAX_CRASHES:
            self._start_thread(f"loading the model again: the inference thread crashed with {error!r}")
        else:
            self._fail(f"the inference thread crashed {self._crashes} times in a row, last with {error!r}. {CURE}")
