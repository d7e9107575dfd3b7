"""Verdicts for tests."""

from amd_service.domain import Label, ModelIdentity, ModelRun, Reason, Scores, Verdict

MODEL = ModelIdentity(id="demo", revision=None, weights_sha256="0" * 64)


def verdict(label: Label, *, human: float = 0.9, runs: int = 1) -> Verdict:
    run = ModelRun(Scores(human, 1 - human), window_start_ms=0, window_ms=2000, inference_ms=12.5, model=MODEL)
    return Verdict(
        label=label,
        confidence=max(human, 1 - human),
        reason=Reason.LOW_CONFIDENCE if label is Label.UNDECIDED else Reason.CONFIDENT,
        onset_ms=300,
        runs=(run,) * runs,
        channel=1,
        channels_mixed=False,
        audio_sha256="f" * 64,
        policy={"min_confidence": 0.7},
    )


def no_speech() -> Verdict:
    return Verdict(
        label=Label.UNDECIDED,
        confidence=None,
        reason=Reason.NO_SPEECH,
        onset_ms=None,
        runs=(),
        channel=None,
        channels_mixed=True,
        audio_sha256="f" * 64,
    )


HUMAN = verdict(Label.HUMAN)
