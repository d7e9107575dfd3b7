"""Prepares what the page of a call shows."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from amd_service.calls.callback_effects import Change, Effect, find_effects
from amd_service.calls.number_policy import NUMBER_FACTS, NumberPolicy
from amd_service.calls.tables import MEDIA_STREAM, Recording, RecordingState, VerdictRow
from amd_service.calls.whole_call import WholeCall
from amd_service.domain import Label, Principal, Reason
from amd_service.settings import Account
from amd_service.twilio.recorded_side import is_one_sided
from amd_service.web.masking import shown
from amd_service.web.pages.evidence_facts import evidence_facts
from amd_service.web.pages.explanations import deciding_run, threshold_of, top_label

HIDDEN = "hidden"
BOTH, CALLED, OURS = "Both channels", "Called party", "Our side"


@dataclass(frozen=True, slots=True)
class PlayedAudio:
    """The recording in the player. `sources`: JSON for the element <audio-player>. `run`: what the player marks."""

    recording: Recording
    sources: str
    run: VerdictRow | None


@dataclass(frozen=True, slots=True)
class CallbackRow:
    """A callback of the call. `changes`: name, value before, value after. `parameters`: None after their deletion."""

    effect: Effect
    changes: Sequence[tuple[str, str, str]]
    parameters: Sequence[tuple[str, str]] | None


def find_audio(whole: WholeCall, chosen: str | None, accounts: Mapping[Any, Account], url: str) -> PlayedAudio | None:
    """Return what the player plays: the chosen recording, or the one that gave the verdict, or the first one.

    `url`: beginning of the URLs of recordings. None: no recording of the call can be heard.
    """
    audible = [each for each in whole.recordings if can_be_heard(each)]
    preferred = [each for each in audible if each.recording_sid in (chosen or whole.call.recording_sid,)]
    recording = next(iter(preferred or audible), None)
    if recording is None:
        return None
    runs = [run for run in whole.runs if run.decided and run.recording_sid == recording.recording_sid]
    run = runs[-1] if runs else None
    account = accounts.get(recording.account_sid)
    return PlayedAudio(
        recording, json.dumps(_sources(recording, run, account, f"{url}/{recording.recording_sid}")), run
    )


def can_be_heard(recording: Recording) -> bool:
    """Whether Twilio may still have the audio of a recording."""
    is_stored = recording.source != MEDIA_STREAM and recording.erased_at is None
    return is_stored and recording.state != RecordingState.NOTED


def why_silent(whole: WholeCall) -> str:
    """Say why no recording of the call can be heard."""
    if any(each.erased_at is not None for each in whole.recordings):
        return "The recording was deleted at Twilio after its verdict (AMD_DELETE_RECORDINGS), and no copy exists."
    if any(each.source == MEDIA_STREAM for each in whole.recordings):
        return "The call was judged on a live stream, whose audio is not stored. Twilio reported no recording."
    return "Twilio has reported no recording of this call."


def _sources(recording: Recording, run: VerdictRow | None, account: Account | None, url: str) -> list[dict[str, str]]:
    """Return the channels that can be heard, the judged one first."""
    judged = None if run is None else run.channel
    called = judged or (None if account is None else account.called_party_channel(recording.source))
    is_dual = not is_one_sided(recording) and (judged is not None or recording.channels == 2)
    if not is_dual:
        return [{"name": "Called party" if is_one_sided(recording) else "Recording", "url": url}]
    both = {"name": BOTH, "url": url}
    if called is None:
        return [both, *({"name": f"Channel {number}", "url": f"{url}?channel={number}"} for number in (1, 2))]
    return [
        {"name": CALLED, "url": f"{url}?channel={called}"},
        {"name": OURS, "url": f"{url}?channel={3 - called}"},
        both,
    ]


def agreement(label: str | None, twilio_answered_by: str | None) -> str | None:
    """Compare our label with Twilio's result: `agrees` or `disagrees`. None if they cannot be compared."""
    theirs = "voicemail" if (twilio_answered_by or "").startswith("machine") else twilio_answered_by
    if theirs not in (Label.HUMAN, Label.VOICEMAIL) or label not in (Label.HUMAN, Label.VOICEMAIL):
        return None
    return "agrees" if theirs == label else "disagrees"


def describe_verdict(whole: WholeCall) -> dict[str, object]:
    """Return the confidence, the threshold and the evidence of the verdict, with the label that they belong to."""
    run = deciding_run(whole)
    facts = evidence_facts(run.evidence if run else None)
    # A beep decides without a threshold.
    if run is None or run.human_score is None or run.reason == Reason.BEEP:
        return {"run": run, "top": None, "threshold": None, "evidence": facts}
    top = top_label(run)
    return {"run": run, "top": top, "threshold": threshold_of(run, top), "evidence": facts}


def callback_rows(whole: WholeCall, principal: Principal) -> list[CallbackRow]:
    """Return the callbacks in Twilio's order, with numbers as `principal` may see them."""
    return [
        CallbackRow(
            effect,
            [_written(change, principal) for change in effect.changes],
            _visible(effect.callback.parameters, principal),
        )
        for effect in find_effects(whole.call, whole.callbacks)
    ]


def _written(change: Change, principal: Principal) -> tuple[str, str, str]:
    is_number = change.name in NUMBER_FACTS
    before, after = (
        shown(_text(value) or None, principal) if is_number else _text(value) for value in (change.before, change.after)
    )
    return change.name, before, after


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.strftime("%H:%M:%S UTC")
    return "" if value is None else str(value)


def _visible(parameters: Iterable[Sequence[str]] | None, principal: Principal) -> Sequence[tuple[str, str]] | None:
    """Return the parameters of a callback. A person who may not see numbers sees no value that contains one."""
    if parameters is None:
        return None
    pairs = tuple((name, value) for name, value in parameters)
    if principal.sees_numbers:
        return pairs
    redacted = NumberPolicy("drop").redact_parameters(pairs)
    return [(name, kept if kept == value else HIDDEN) for (name, value), (_, kept) in zip(pairs, redacted, strict=True)]
