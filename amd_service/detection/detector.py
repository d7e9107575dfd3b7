"""Turns a recording into a verdict.

The steps are: decode the audio, find speech, cut a window, score the window, decide. If the confidence is too low, or
if the policy says so, the last three steps are repeated with a longer window.
"""

from dataclasses import asdict, replace
from typing import Self

import anyio.to_thread

from amd_service.detection.audio.decode import has_seconds
from amd_service.detection.audio.input import AudioInput
from amd_service.detection.classifier.engines.engine import ChosenEngine
from amd_service.detection.classifier.hub import DEMO
from amd_service.detection.classifier.inference import Classifier
from amd_service.detection.classifier.model import open_model
from amd_service.detection.classifier.model_windows import NO_WINDOWS, ModelWindows
from amd_service.detection.classifier.request_queue import Priority
from amd_service.detection.classifier.scorer import OpenFiles
from amd_service.detection.classifier.state import ClassifierState
from amd_service.detection.classifier.thread_priority import BACKGROUND, BEHIND_REQUESTS, open_model_with
from amd_service.detection.decision import Decision, Hints, Policy, decide
from amd_service.detection.label_check import SHIPPED_CLIPS, GoldenClips
from amd_service.detection.prepared_audio import SEARCH_MS, PreparedAudio, cut_window, prepare_audio
from amd_service.detection.readiness import Readiness
from amd_service.detection.stated_windows import find_stated_windows
from amd_service.domain import Label, ModelIdentity, ModelRun, Reason, Scores, Verdict, Window
from amd_service.errors import ClassifierUnavailable, ConfigurationError
from amd_service.settings import Settings
from amd_service.telemetry import Metrics


class Detector:
    """Judges recordings. `start` and `close` also start and close the classifier.

    Audio processing runs on worker threads and the model runs on the classifier's thread, so neither blocks the event
    loop. `judge` raises ClassifierUnavailable until the detector is ready. The detector is ready when the model is
    loaded and warmed up, and the golden clips (recordings with known labels) do not contradict the model's label order.
    """

    def __init__(
        self,
        classifier: Classifier,
        settings: Settings,
        *,
        golden: GoldenClips | None = None,
        metrics: Metrics | None = None,
        stated: ModelWindows = NO_WINDOWS,
    ) -> None:
        """`stated`: windows and thresholds of the model, for a process in which it is not loaded or not loaded yet."""
        self._classifier = classifier
        self._settings = settings
        self._stated = stated
        self._metrics = metrics or Metrics()
        self._readiness = Readiness(
            classifier, golden or GoldenClips(SHIPPED_CLIPS, own=False, enforce=True), self._score_clip, self._metrics
        )

    @classmethod
    def from_settings(
        cls, settings: Settings, metrics: Metrics, *, is_service: bool = True, background: bool = False
    ) -> Self:
        """Create the detector that the settings describe, without starting the detector.

        `is_service`: see `Classifier`. The model of a service lets other threads go first. `background`: True if nobody
        waits for the results. The model then gets the lowest priority, and `close` does not wait for its last window.
        """
        open_files: OpenFiles = open_model
        if background:
            open_files = open_model_with(BACKGROUND)
        elif is_service:
            open_files = open_model_with(BEHIND_REQUESTS)
        classifier = Classifier(
            settings,
            metrics,
            open_files=open_files,
            close_timeout_s=0.0 if background else None,
            is_service=is_service,
        )
        return cls(
            classifier,
            settings,
            golden=GoldenClips.from_settings(settings),
            metrics=metrics,
            stated=find_stated_windows(settings),
        )

    def start(self) -> None:
        """Start loading the model in the background. This method needs a running event loop."""
        self._classifier.start()
        self._readiness.start()

    async def close(self) -> None:
        """Stop the classifier's thread after the window that the thread is scoring."""
        await self._readiness.close()
        await self._classifier.close()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def state(self) -> ClassifierState:
        return self._readiness.state

    @property
    def is_ready(self) -> bool:
        return self.state.is_ready

    @property
    def is_idle(self) -> bool:
        """True while the model waits for a window."""
        return self._classifier.is_idle

    @property
    def identity(self) -> ModelIdentity | None:
        """The loaded model with the result of the golden clips, or None until the model is loaded."""
        identity = self._classifier.identity
        return self._with_proof(identity) if identity else None

    @property
    def chosen(self) -> ChosenEngine | None:
        """The engine in use with the reason for the choice and the engine check, or None until the model is loaded."""
        return self._classifier.chosen

    @property
    def windows_at_once(self) -> int:
        """Number of concurrent windows that keep the engine busy."""
        return self._classifier.windows_at_once

    @property
    def policy(self) -> Policy:
        """The policy of the settings and the model."""
        files = self._classifier.files
        return Policy.from_settings(self._settings, files.windows if files else self._stated)

    async def wait_ready(self) -> None:
        """Wait until the detector is ready. The method waits without a time limit."""
        await self._readiness.wait_ready()

    async def wait_ready_or_raise(self) -> None:
        """Wait until the detector is ready.

        Raises ModelUnusable if the detector cannot become ready. The error message names the cure.
        """
        await self._readiness.wait_ready_or_raise()

    def report(self) -> dict[str, object]:
        """Return the state, its reason and the model, as JSON-ready values.

        The reason names the cure if the detector is not ready.
        """
        state, identity, files = self.state, self.identity, self._classifier.files
        return {
            "phase": str(state.phase),
            "ready": state.is_ready,
            "reason": state.reason,
            "model": asdict(identity) if identity else None,
            "demonstration": identity is not None and identity.id == DEMO,
            "labels": list(files.labels.labels) if files else None,
            "labels_from": str(files.labels.source) if files else None,
        }

    @property
    def max_audio_ms(self) -> int:
        """Milliseconds of audio, from the first sample, that can influence a verdict.

        The value is the length of the audio that is searched for speech plus the length of the longest window.
        """
        return SEARCH_MS + max(self.policy.window_ms, self.policy.long_window_ms)

    def has_enough_audio(self, prefix: bytes) -> bool:
        """Return True if the beginning of a download already contains all audio that can influence the verdict."""
        return has_seconds(prefix, self.max_audio_ms / 1000)

    async def judge(self, audio: AudioInput, *, priority: Priority, is_live: bool = False) -> Verdict:
        """Return the verdict on a recording, or on the beginning of a recording.

        `is_live`: True for a stream. The first sure window then decides, and the rules about beep and rhythm have no
        effect.

        The model does not run on audio that is shorter than one second or has no speech: the verdict is then
        `undecided` without a confidence. Raises Undecodable, ClassifierUnavailable, QueueFull or ModelFailed.
        """
        prepared = await self.prepare(audio)
        policy = self.policy.for_live() if is_live else self.policy
        if prepared.is_too_short:
            return _verdict(prepared, policy, Reason.TOO_SHORT)
        if prepared.onset_ms is None:
            return _verdict(prepared, policy, Reason.NO_SPEECH)
        runs, decision = await self._decide(prepared, policy, priority)
        return _verdict(prepared, policy, decision.reason, decision=decision, runs=runs)

    async def prepare(self, audio: AudioInput) -> PreparedAudio:
        """Decode the audio and search for speech. `prepare` is the first half of `judge`.

        Raises Undecodable or ClassifierUnavailable.
        """
        if not self.is_ready:
            raise ClassifierUnavailable(f"the classifier is not ready: {self.state.reason}")
        with self._metrics.stage("listen"):
            return await self._prepare(audio)

    async def classify_window(self, prepared: PreparedAudio, length_ms: int, priority: Priority) -> Verdict:
        """Run the model once, on a window of `length_ms`, and decide as for a stream. The audio must contain speech."""
        run = await self._score(await self._window(prepared, length_ms), priority)
        policy = self.policy.for_live()
        decision = decide(run.scores, policy)
        return _verdict(prepared, policy, decision.reason, decision=decision, runs=(run,))

    async def score_longer_window(self, audio: AudioInput, first: ModelRun, priority: Priority) -> ModelRun | None:
        """Run the model on the window that follows the first window if the confidence is too low.

        Returns None if the audio ends within the first window. Raises the errors of `judge`.
        """
        return await self._score_longer_window(await self.prepare(audio), first, priority)

    async def _score_clip(self, data: bytes) -> Scores | None:
        """Return the scores of a golden clip's first window, or None if the clip has no speech.

        The scores are computed in the same way as for a recording.

        Raises ConfigurationError for a clip with two channels, because the called party's channel is unknown.
        """
        prepared = await self._prepare(AudioInput(data=data, one_sided=True))
        if prepared.party.mixed:
            raise ConfigurationError("the clip has two channels: save only the called party's channel, as a mono file")
        if prepared.onset_ms is None:
            return None
        window = await self._window(prepared, self.policy.window_ms)
        run = await self._classifier.score(window, priority=Priority.INTERACTIVE)
        return run.scores

    async def _prepare(self, audio: AudioInput) -> PreparedAudio:
        return await anyio.to_thread.run_sync(lambda: prepare_audio(audio, max_ms=self.max_audio_ms))

    async def _decide(
        self, prepared: PreparedAudio, policy: Policy, priority: Priority
    ) -> tuple[tuple[ModelRun, ...], Decision]:
        hints = Hints.from_evidence(prepared.evidence.as_dict() if prepared.evidence else None)
        first = await self._score(await self._window(prepared, policy.window_ms), priority)
        runs: tuple[ModelRun, ...] = (first,)
        decision = decide(first.scores, policy, hints, is_last=not policy.has_long_window)
        if not policy.scores_longer_window(decision):
            return runs, decision
        second = await self._score_longer_window(prepared, first, priority)
        if second is None:
            return runs, decide(first.scores, policy, hints)
        return (first, second), decide(second.scores, policy, hints, first=first.scores)

    async def _score_longer_window(
        self, prepared: PreparedAudio, first: ModelRun, priority: Priority
    ) -> ModelRun | None:
        if not self.policy.has_long_window:
            return None
        longer = await self._window(prepared, self.policy.long_window_ms)
        return await self._score(longer, priority) if longer.duration_ms > first.window_ms else None

    async def _window(self, prepared: PreparedAudio, length_ms: int) -> Window:
        return await anyio.to_thread.run_sync(cut_window, prepared, self.policy.anchor, length_ms)

    async def _score(self, window: Window, priority: Priority) -> ModelRun:
        with self._metrics.stage("score"):
            run = await self._classifier.score(window, priority=priority)
        return replace(run, model=self._with_proof(run.model))

    def _with_proof(self, model: ModelIdentity) -> ModelIdentity:
        return replace(model, proof=str(self._readiness.proof))


def _verdict(
    prepared: PreparedAudio,
    policy: Policy,
    reason: Reason,
    *,
    decision: Decision | None = None,
    runs: tuple[ModelRun, ...] = (),
) -> Verdict:
    evidence = prepared.evidence.as_dict() if prepared.evidence else None
    if evidence is not None and not policy.names_tones:
        evidence["heard"] = None
    return Verdict(
        label=decision.label if decision else Label.UNDECIDED,
        confidence=decision.confidence if decision else None,
        reason=reason,
        onset_ms=prepared.onset_ms,
        runs=runs,
        channel=prepared.party.channel,
        channels_mixed=prepared.party.mixed,
        audio_sha256=prepared.audio_sha256,
        policy=policy.as_dict(),
        evidence=evidence,
    )
