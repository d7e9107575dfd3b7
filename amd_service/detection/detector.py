"""Bytes of a recording → verdict: decode, find the speech, cut a window, score it, decide; once more when unsure."""

import hashlib
from dataclasses import asdict, dataclass, replace
from typing import Self

import anyio.to_thread

from amd_service.detection.audio.activity import speech_onset_ms
from amd_service.detection.audio.channels import CalledParty, called_party
from amd_service.detection.audio.decode import decode, enough
from amd_service.detection.audio.window import LEAD_MS, cut
from amd_service.detection.classifier.engines.engine import ChosenEngine
from amd_service.detection.classifier.hub import DEMO
from amd_service.detection.classifier.inference import Classifier, ClassifierState, Priority
from amd_service.detection.decision import Decision, Policy, decide
from amd_service.detection.label_check import SHIPPED_CLIPS, GoldenClips
from amd_service.detection.readiness import Gate
from amd_service.domain import Anchor, Label, ModelIdentity, ModelRun, Reason, Scores, Verdict, Waveform, Window
from amd_service.errors import ClassifierUnavailable, ConfigurationError
from amd_service.settings import Settings
from amd_service.telemetry import Metrics

SEARCH_MS = 15_000
LEAST_MS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """The called party of one recording and where speech begins in it (None: nowhere in the part searched)."""

    party: CalledParty
    onset_ms: int | None
    audio_sha256: str

    @property
    def waveform(self) -> Waveform:
        return self.party.waveform

    @property
    def speech_ms(self) -> int:
        """Audio since speech began."""
        return 0 if self.onset_ms is None else self.waveform.duration_ms - self.onset_ms


class Detector:
    """Judges recordings. Owns its classifier: `start` and `close` are those of both.

    Audio work runs on worker threads and the model on the classifier's own, so the event loop never blocks. Until
    the gate is open (model loaded, warm, label order not contradicted) `judge` raises ClassifierUnavailable.
    """

    def __init__(
        self,
        classifier: Classifier,
        policy: Policy,
        *,
        golden: GoldenClips | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._classifier = classifier
        self._policy = policy
        self._metrics = metrics or Metrics()
        self._gate = Gate(
            classifier, golden or GoldenClips(SHIPPED_CLIPS, own=False, enforce=True), self._hear, self._metrics
        )

    @classmethod
    def from_settings(cls, settings: Settings, metrics: Metrics) -> Self:
        """The detector that the settings describe, not started."""
        return cls(
            Classifier(settings, metrics),
            Policy.from_settings(settings),
            golden=GoldenClips.from_settings(settings),
            metrics=metrics,
        )

    def start(self) -> None:
        """Start loading the model and return at once; must be called with an event loop running."""
        self._classifier.start()
        self._gate.start()

    async def close(self) -> None:
        """End the classifier's thread after the window in hand."""
        await self._gate.close()
        await self._classifier.close()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def state(self) -> ClassifierState:
        return self._gate.state

    @property
    def ready(self) -> bool:
        return self.state.ready

    @property
    def identity(self) -> ModelIdentity | None:
        """The loaded model with what the golden clips said of it, None before it is loaded."""
        identity = self._classifier.identity
        return replace(identity, proof=str(self._gate.proof)) if identity else None

    @property
    def chosen(self) -> ChosenEngine | None:
        """The engine that serves, why it was taken and what its gate said; None before the model is loaded."""
        return self._classifier.chosen

    @property
    def policy(self) -> Policy:
        return self._policy

    async def wait_ready(self) -> None:
        """Wait until `judge` will judge, however long that takes."""
        await self._gate.wait_ready()

    async def wait_ready_or_raise(self) -> None:
        """Wait until `judge` will judge. Raises ModelUnusable, naming the cure, when it never will."""
        await self._gate.wait_ready_or_raise()

    def report(self) -> dict[str, object]:
        """State, reason (with the cure when not ready) and model; JSON-ready."""
        state, identity, labels = self.state, self.identity, self._classifier.labels
        return {
            "phase": str(state.phase),
            "ready": state.ready,
            "reason": state.reason,
            "model": asdict(identity) if identity else None,
            "demonstration": identity is not None and identity.id == DEMO,
            "labels": list(labels.labels) if labels else None,
            "labels_from": str(labels.source) if labels else None,
        }

    @property
    def listened_ms(self) -> int:
        """The head of a recording that can matter: the search for speech and the longest window behind it."""
        return SEARCH_MS + max(self._policy.window_ms, self._policy.long_window_ms)

    def enough(self, prefix: bytes) -> bool:
        """Whether the head of a download already holds all that will be listened to."""
        return enough(prefix, self.listened_ms / 1000)

    async def judge(
        self,
        data: bytes,
        *,
        content_type: str | None,
        channel: int | None,
        one_sided: bool,
        priority: Priority,
        raw_rate_hz: int | None = None,
    ) -> Verdict:
        """The verdict on a recording, or on its head. `channel`: the called party's, from 1, None when unknown.

        Silence and audio under one second are never shown to the model: `undecided` without confidence.
        Raises Undecodable, ClassifierUnavailable, QueueFull, ModelFailed.
        """
        heard = await self.listen(
            data, content_type=content_type, channel=channel, one_sided=one_sided, raw_rate_hz=raw_rate_hz
        )
        if heard.waveform.duration_ms < LEAST_MS:
            return self._verdict(heard, Reason.TOO_SHORT)
        if heard.onset_ms is None:
            return self._verdict(heard, Reason.NO_SPEECH)
        runs, decision = await self._decide(heard, priority)
        return self._verdict(heard, decision.reason, decision=decision, runs=runs)

    async def listen(
        self,
        data: bytes,
        *,
        content_type: str | None,
        channel: int | None,
        one_sided: bool,
        raw_rate_hz: int | None = None,
    ) -> Heard:
        """The first half of `judge`: the called party and where speech begins. Raises as `judge` does."""
        if not self.ready:
            raise ClassifierUnavailable(f"the classifier is not ready: {self.state.reason}")
        with self._metrics.stage("listen"):
            return await self._listen(
                data, content_type=content_type, channel=channel, one_sided=one_sided, raw_rate_hz=raw_rate_hz
            )

    async def glance(self, heard: Heard, length_ms: int, priority: Priority) -> Verdict:
        """A verdict from one run on a window of `length_ms`, of audio in which speech was heard."""
        run = await self._score(await self._window(heard, length_ms), priority)
        decision = decide(run.scores, self._policy)
        return self._verdict(heard, decision.reason, decision=decision, runs=(run,))

    async def _hear(self, data: bytes) -> Scores | None:
        """A golden clip's scores on the first window, by the way every recording goes; None without speech.

        Raises ConfigurationError for a clip of two channels: nobody says which of them is the called party.
        """
        heard = await self._listen(data, content_type=None, channel=None, one_sided=True, raw_rate_hz=None)
        if heard.party.mixed:
            raise ConfigurationError("it has two channels: keep the called party's alone, golden clips are mono")
        if heard.onset_ms is None:
            return None
        window = await self._window(heard, self._policy.window_ms)
        run = await self._classifier.score(window, priority=Priority.INTERACTIVE)
        return run.scores

    async def _listen(
        self, data: bytes, *, content_type: str | None, channel: int | None, one_sided: bool, raw_rate_hz: int | None
    ) -> Heard:
        def work() -> Heard:
            tracks = decode(data, content_type=content_type, raw_rate_hz=raw_rate_hz, max_s=self.listened_ms / 1000)
            party = called_party(tracks, channel=channel, one_sided=one_sided)
            long_enough = party.waveform.duration_ms >= LEAST_MS
            onset_ms = speech_onset_ms(party.waveform, search_ms=SEARCH_MS) if long_enough else None
            return Heard(party, onset_ms, hashlib.sha256(data).hexdigest())

        return await anyio.to_thread.run_sync(work)

    async def _decide(self, heard: Heard, priority: Priority) -> tuple[tuple[ModelRun, ...], Decision]:
        window = await self._window(heard, self._policy.window_ms)
        run = await self._score(window, priority)
        decision = decide(run.scores, self._policy)
        if decision.reason is Reason.CONFIDENT or self._policy.long_window_ms <= self._policy.window_ms:
            return (run,), decision
        longer = await self._window(heard, self._policy.long_window_ms)
        if longer.duration_ms <= window.duration_ms:
            return (run,), decision
        second = await self._score(longer, priority)
        return (run, second), decide(second.scores, self._policy)

    async def _window(self, heard: Heard, length_ms: int) -> Window:
        return await anyio.to_thread.run_sync(cut_window, heard, self._policy.anchor, length_ms)

    async def _score(self, window: Window, priority: Priority) -> ModelRun:
        with self._metrics.stage("score"):
            run = await self._classifier.score(window, priority=priority)
        return replace(run, model=replace(run.model, proof=str(self._gate.proof)))

    def _verdict(
        self, heard: Heard, reason: Reason, *, decision: Decision | None = None, runs: tuple[ModelRun, ...] = ()
    ) -> Verdict:
        return Verdict(
            label=decision.label if decision else Label.UNDECIDED,
            confidence=decision.confidence if decision else None,
            reason=reason,
            onset_ms=heard.onset_ms,
            runs=runs,
            channel=heard.party.channel,
            channels_mixed=heard.party.mixed,
            audio_sha256=heard.audio_sha256,
            policy=self._policy.as_dict(),
        )


def cut_window(heard: Heard, anchor: Anchor, length_ms: int) -> Window:
    """The window by its anchor; where less than a second would be left of the audio it begins that much earlier."""
    window = cut(heard.waveform, onset_ms=heard.onset_ms, anchor=anchor, length_ms=length_ms)
    if window.duration_ms >= LEAST_MS:
        return window
    latest_start_ms = heard.waveform.duration_ms - LEAST_MS
    earlier = cut(heard.waveform, onset_ms=latest_start_ms + LEAD_MS, anchor=Anchor.ONSET, length_ms=length_ms)
    return replace(window, samples=earlier.samples, start_ms=earlier.start_ms)
