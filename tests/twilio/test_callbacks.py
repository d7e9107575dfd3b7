"""Parsing of the form fields of callbacks."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amd_service.errors import MalformedCallback
from amd_service.twilio.callbacks import parse_amd, parse_form, parse_recording, parse_status

ACCOUNT = "AC" + "a" * 32
CALL = "CA" + "1" * 32
RECORDING = "RE" + "2" * 32
CONFERENCE = "CF" + "3" * 32


def status(**fields: str) -> tuple[tuple[str, str], ...]:
    return tuple(({"AccountSid": ACCOUNT, "CallSid": CALL, "CallStatus": "completed"} | fields).items())


def recording(**fields: str) -> tuple[tuple[str, str], ...]:
    required = {
        "AccountSid": ACCOUNT,
        "CallSid": CALL,
        "RecordingSid": RECORDING,
        "RecordingStatus": "completed",
    }
    return tuple((required | fields).items())


def test_every_field_of_a_status_callback_is_parsed() -> None:
    parsed = parse_status(
        status(
            SequenceNumber="3",
            Timestamp="Wed, 02 Sep 2026 10:15:30 +0000",
            Direction="outbound-api",
            From="+15005550001",
            To="+15005550006",
            Duration="1",
            CallDuration="49",
            AnsweredBy="machine_start",
            MachineDetectionDuration="3900",
            ParentCallSid="CA" + "9" * 32,
            SipResponseCode="486",
            ErrorCode="13224",
            RecordingSid=RECORDING,
        )
    )
    assert (parsed.billed_min, parsed.sip_response_code, parsed.error_code) == (1, 486, 13224)
    assert parsed.recording_sid == RECORDING
    assert parsed.sequence_number == 3
    assert parsed.timestamp == datetime(2026, 9, 2, 10, 15, 30, tzinfo=UTC)
    assert parsed.duration_s == 49
    assert (parsed.answered_by, parsed.machine_detection_ms) == ("machine_start", 3900)
    assert (parsed.from_number, parsed.to_number) == ("+15005550001", "+15005550006")
    assert parsed.parent_call_sid == "CA" + "9" * 32
    assert parsed.direction == "outbound-api"


def test_every_field_of_a_recording_callback_is_parsed() -> None:
    parsed = parse_recording(
        recording(
            RecordingSource="OutboundAPI",
            RecordingTrack="both",
            RecordingChannels="2",
            RecordingDuration="12",
            RecordingStartTime="Wed, 02 Sep 2026 12:15:30 +0200",
            ErrorCode="0",
        )
    )
    assert (parsed.source, parsed.track, parsed.channels) == ("OutboundAPI", "both", 2)
    assert (parsed.duration_s, parsed.error_code) == (12, 0)
    assert parsed.started_at == datetime(2026, 9, 2, 10, 15, 30, tzinfo=UTC)


def test_billed_minutes_are_not_the_duration() -> None:
    parsed = parse_status(status(Duration="1"))
    assert (parsed.duration_s, parsed.billed_min) == (None, 1)


def test_blank_and_absent_fields_are_none() -> None:
    blank = dict.fromkeys(("SequenceNumber", "Timestamp", "Direction", "From", "CallDuration", "AnsweredBy"), " ")
    assert parse_status(status(**blank)) == parse_status(status())
    emptied = dict.fromkeys(("RecordingUrl", "RecordingSource", "RecordingDuration", "RecordingStartTime"), "")
    assert parse_recording(recording(**emptied)) == parse_recording(recording())


@pytest.mark.parametrize("number", ["-1", "1.5", "1_0", "٣", "one", "0x1", "9" * 10, "+3"])
def test_an_invalid_number_is_none(number: str) -> None:
    parsed = parse_status(status(SequenceNumber=number, CallDuration=number, MachineDetectionDuration=number))
    assert (parsed.sequence_number, parsed.duration_s, parsed.machine_detection_ms) == (None, None, None)


@pytest.mark.parametrize(
    "moment",
    [
        "yesterday",
        "2026-09-02T10:15:30Z",
        "Wed, 99 Sep 2026 10:15:30 +0000",
        "Wed, 02 Sep 99999999999999999999",
        "x" * 99,
    ],
)
def test_an_invalid_date_is_none(moment: str) -> None:
    assert parse_status(status(Timestamp=moment)).timestamp is None


def test_a_date_without_a_zone_is_utc() -> None:
    parsed = parse_status(status(Timestamp="Wed, 02 Sep 2026 10:15:30 -0000"))
    assert parsed.timestamp == datetime(2026, 9, 2, 10, 15, 30, tzinfo=UTC)


def test_the_first_nonblank_value_of_a_repeated_field_is_used() -> None:
    form = (("CallStatus", ""), *status(CallStatus="busy"), ("CallStatus", "completed"))
    assert parse_status(form).call_status == "busy"


def test_an_unknown_status_is_accepted_and_truncated() -> None:
    assert parse_status(status(CallStatus="teleported")).call_status == "teleported"
    assert len(parse_recording(recording(RecordingStatus="x" * 1000)).recording_status) == 64


@pytest.mark.parametrize("missing", ["AccountSid", "CallSid", "CallStatus"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_status_callback_requires_sids_and_status(missing: str, value: str | None) -> None:
    form = tuple(pair for pair in status() if pair[0] != missing)
    with pytest.raises(MalformedCallback, match=missing):
        parse_status(form if value is None else (*form, (missing, value)))


@pytest.mark.parametrize("sid", ["", "RE", CALL, RECORDING + "0", "RE" + "g" * 32, "../" + RECORDING])
def test_a_recording_callback_requires_its_sid(sid: str) -> None:
    with pytest.raises(MalformedCallback, match="RecordingSid"):
        parse_recording(recording(RecordingSid=sid))


def test_an_invalid_optional_sid_is_none() -> None:
    parsed = parse_status(status(ParentCallSid="nobody", RecordingSid=CALL))
    assert (parsed.parent_call_sid, parsed.recording_sid) == (None, None)
    assert parse_recording(recording(ConferenceSid="room 7")).conference_sid is None


def test_an_error_code_of_zero_is_kept() -> None:
    assert parse_recording(recording(ErrorCode="0")).error_code == 0
    assert parse_recording(recording()).error_code is None


def conference(**fields: str) -> tuple[tuple[str, str], ...]:
    without_call = tuple(pair for pair in recording() if pair[0] != "CallSid")
    return (*without_call, *({"ConferenceSid": CONFERENCE, "RecordingSource": "Conference"} | fields).items())


@pytest.mark.parametrize("blank", [{}, {"CallSid": ""}])
def test_a_conference_recording_needs_no_call_sid(blank: dict[str, str]) -> None:
    parsed = parse_recording(conference(**blank))
    assert (parsed.call_sid, parsed.conference_sid, parsed.source) == (None, CONFERENCE, "Conference")


def test_a_conference_recording_keeps_its_call_sid() -> None:
    parsed = parse_recording(conference(CallSid=CALL))
    assert (parsed.call_sid, parsed.conference_sid) == (CALL, CONFERENCE)


@pytest.mark.parametrize("fields", [{"ConferenceSid": "room 7"}, {"CallSid": "nobody"}])
def test_a_recording_without_valid_call_and_conference_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(MalformedCallback, match="CallSid"):
        parse_recording(conference(**fields))


def amd(**fields: str) -> tuple[tuple[str, str], ...]:
    required = {"AccountSid": ACCOUNT, "CallSid": CALL, "AnsweredBy": "machine_end_beep"}
    return tuple((required | fields).items())


def test_an_amd_result_needs_no_call_status() -> None:
    parsed = parse_amd(amd(MachineDetectionDuration="4120"))
    assert (parsed.account_sid, parsed.call_sid) == (ACCOUNT, CALL)
    assert (parsed.answered_by, parsed.machine_detection_ms) == ("machine_end_beep", 4120)
    assert parse_amd(amd(MachineDetectionDuration="")).machine_detection_ms is None
    assert len(parse_amd(amd(AnsweredBy="x" * 1000)).answered_by) == 64


@pytest.mark.parametrize("missing", ["AccountSid", "CallSid", "AnsweredBy"])
def test_an_amd_result_requires_sids_and_answered_by(missing: str) -> None:
    with pytest.raises(MalformedCallback, match=missing):
        parse_amd(amd(**{missing: " "}))


def test_an_amd_result_sent_to_the_status_url_names_the_right_url() -> None:
    with pytest.raises(MalformedCallback, match="/twilio/amd"):
        parse_status(amd())


def test_parsing_a_form_keeps_order_blanks_spaces_and_repetitions() -> None:
    assert parse_form(b"b=+1%2B&a=&b=%C3%A9&c") == (("b", " 1+"), ("a", ""), ("b", "é"), ("c", ""))


def test_a_form_with_too_many_fields_is_refused() -> None:
    with pytest.raises(MalformedCallback, match="1000"):
        parse_form(b"&".join([b"a=1"] * 1001))


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b"a=%ff", b"\xff"),
        (b"a=\xff%E9", b"\xff\xe9"),
        (b"a=\xc3%A9", "é".encode()),
        (b"a=%ED%A0%BD%ED%B8%80", b"\xed\xa0\xbd\xed\xb8\x80"),
        (b"a=%00", b"\0"),
        (b"a=100%&", b"100%"),
        (b"a=%zz%u00e9%1", b"%zz%u00e9%1"),
    ],
)
def test_every_byte_of_a_form_is_kept(body: bytes, sent: bytes) -> None:
    ((_, value),) = parse_form(body)
    assert value.encode(errors="surrogateescape") == sent


def test_invalid_optional_fields_are_logged_by_name_and_not_by_value(capfd: pytest.CaptureFixture[str]) -> None:
    parse_status(status(SequenceNumber="third", Timestamp="yesterday", CallDuration="", Duration="-1"))
    logged = "".join(capfd.readouterr())
    assert all(name in logged for name in ("SequenceNumber", "Timestamp", "Duration", CALL))
    assert not any(value in logged for value in ("third", "yesterday", "CallDuration"))


@settings(deadline=None)
@given(body=st.binary(max_size=200))
def test_any_body_is_parsed_or_refused(body: bytes) -> None:
    try:
        pairs = parse_form(body)
    except MalformedCallback:
        return
    assert all(isinstance(name, str) and isinstance(value, str) for name, value in pairs)


@settings(deadline=None)
@given(fields=st.dictionaries(st.sampled_from(["SequenceNumber", "Timestamp", "CallDuration", "From"]), st.text()))
def test_optional_fields_never_make_a_callback_malformed(fields: dict[str, str]) -> None:
    assert parse_status(status(**fields)).call_sid == CALL
