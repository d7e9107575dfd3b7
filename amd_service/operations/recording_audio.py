"""Downloads the audio of a recording from Twilio, for the worker and for datasets."""

from collections.abc import Callable, Mapping
from typing import Protocol

from amd_service.detection.audio.completeness import why_incomplete
from amd_service.detection.audio.decode import can_decode
from amd_service.detection.audio.input import AudioInput
from amd_service.domain import AccountSid, Failure, RecordingSid
from amd_service.errors import CredentialsMissing, MediaIncomplete, Permanent
from amd_service.settings import Account
from amd_service.twilio.recorded_side import holds_only_our_side, is_one_sided
from amd_service.twilio.recordings import AudioRules, Recordings


class StoredRecording(Protocol):
    """A recording at Twilio, with what Twilio said about it. `duration_s`: Twilio's RecordingDuration."""

    @property
    def recording_sid(self) -> RecordingSid: ...
    @property
    def account_sid(self) -> AccountSid: ...
    @property
    def source(self) -> str | None: ...
    @property
    def track(self) -> str | None: ...
    @property
    def duration_s(self) -> int | None: ...


async def fetch_audio(
    recording: StoredRecording,
    accounts: Mapping[AccountSid, Account],
    recordings: Recordings,
    *,
    has_enough: Callable[[bytes], bool],
    accept_incomplete: bool = False,
) -> AudioInput:
    """Download the beginning of a recording, and say which channel is the called party's.

    `has_enough`: whether the beginning of a download already contains all audio that is needed. `accept_incomplete`:
    return a body that cannot be the whole recording, instead of raising MediaIncomplete.

    Raises CredentialsMissing, Permanent for a recording without the called party, and the errors of
    `Recordings.fetch`.
    """
    account = accounts.get(recording.account_sid)
    if account is None:
        # The account's credentials were configured in the process that verified the callback. A process without
        # them must not give up the recording, because another process, or a restarted one, can judge it.
        raise CredentialsMissing(
            f"no credentials are configured for account {recording.account_sid}: set them and restart"
        )
    if holds_only_our_side(recording):
        raise Permanent("RecordingTrack=outbound contains only the audio that Twilio played", Failure.NO_RECORDING)
    one_sided = is_one_sided(recording)
    media = await recordings.fetch(
        account, recording.recording_sid, prefer_dual=not one_sided, rules=AudioRules(can_decode, has_enough)
    )
    # Twilio sends a callback before the media is complete everywhere, and a proxy can replace the media by an error
    # page.
    is_whole_body = media.complete and not has_enough(media.data)
    reason = why_incomplete(
        media.data, media.content_type, duration_s=recording.duration_s, is_whole_body=is_whole_body
    )
    if reason is not None and not accept_incomplete:
        raise MediaIncomplete(f"the recording is not complete yet: {reason}")
    return AudioInput(
        data=media.data,
        content_type=media.content_type,
        channel=account.called_party_channel(recording.source),
        one_sided=one_sided,
    )
