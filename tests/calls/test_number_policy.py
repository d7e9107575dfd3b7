"""Phone numbers and personal details that must not be kept are not stored in any table."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from amd_service.calls import intake
from amd_service.calls.number_policy import NUMBERS, OWNERS, PLAIN, NumberPolicy
from amd_service.calls.tables import Base
from amd_service.database.pool import Database
from amd_service.domain import RawCallback
from amd_service.settings import Settings
from amd_service.twilio.callbacks import parse_amd, parse_recording, parse_status
from tests.support.deliveries import KEEP, call_row
from tests.support.sids import ACCOUNT, CALL, RECORDING
from tests.web.twilio.test_callback_parameters import CALLBACKS

HASH = NumberPolicy("hash", b"k" * 16)
DROP = NumberPolicy("drop")
FORGETFUL = pytest.mark.parametrize("numbers", [HASH, DROP], ids=["hash", "drop"])

CALLER, CALLEE = "+15005550006", "+4930901820999"
PLACE, OWNER = "SAN JOSE", "JANE DOE"
SECRETS = ("5005550006", "555-0006", "30901820999", "SAN JOSE", "JANE", "alice", "VGhlIHBhc3Nwb3J0")

Pairs = tuple[tuple[str, str], ...]

ABOUT = (("AccountSid", ACCOUNT), ("CallSid", CALL))
STATUS: Pairs = (
    *ABOUT,
    ("CallStatus", "completed"),
    ("SequenceNumber", "3"),
    ("Timestamp", "Wed, 02 Sep 2026 10:15:30 +0000"),
    ("From", CALLER),
    ("To", CALLEE),
    ("Caller", CALLER),
    ("Called", CALLEE),
    ("ForwardedFrom", "sip:alice@example.org"),
    ("CalledVia", CALLEE),
    ("CallerName", OWNER),
    ("StirPassportToken", "VGhlIHBhc3Nwb3J0"),
    *((party + place, PLACE) for party in ("From", "To", "Caller", "Called") for place in ("City", "State", "Zip")),
    # Unknown parameters may repeat a number: unchanged, without its plus sign, encoded, or inside a text.
    ("SipHeader_X-Caller", "15005550006"),
    ("SipHeader_Diversion", f"<sip:{CALLEE}@10.0.0.1>;reason=no-answer"),
    ("Custom", "callee=%2B4930901820999"),
    # Parameters may also repeat a number in another spelling.
    ("SipHeader_P-Asserted-Identity", "<sip:030901820999@10.0.0.1>"),
    ("Memo", "(500) 555-0006"),
)
RECORDED: Pairs = (
    *ABOUT,
    ("RecordingSid", RECORDING),
    ("RecordingStatus", "completed"),
    ("From", CALLER),
    ("ToCity", PLACE),
)
AMD: Pairs = (*ABOUT, ("AnsweredBy", "human"), ("To", CALLEE))


async def deliver_one_of_each(database: Database, numbers: NumberPolicy) -> list[bool]:
    """Deliver one callback of each kind, all with the numbers of both parties."""
    async with database.transaction() as session:
        return [
            await intake.store(session, RawCallback("status", STATUS, "token"), parse_status(STATUS), numbers),
            await intake.store(session, RawCallback("recording", RECORDED), parse_recording(RECORDED), numbers),
            await intake.store(session, RawCallback("amd", AMD), parse_amd(AMD), numbers),
        ]


async def all_values(database: Database) -> str:
    """Every value of every column of every table, as one text."""
    async with database.transaction() as session:
        tables = [(await session.execute(select(table))).all() for table in Base.metadata.sorted_tables]
    return repr([[tuple(row) for row in rows] for rows in tables])


def secrets_in(text: str) -> set[str]:
    return {secret for secret in SECRETS if secret in text}


@pytest.mark.anyio
async def test_kept_numbers_are_stored_unchanged(database: Database) -> None:
    await deliver_one_of_each(database, KEEP)
    assert secrets_in(await all_values(database)) == set(SECRETS)  # otherwise the other tests would prove nothing
    call = await call_row(database)
    assert (call.from_number, call.to_number) == (CALLER, CALLEE)


@pytest.mark.anyio
@FORGETFUL
async def test_neither_numbers_nor_details_of_their_owners_are_stored(
    database: Database, numbers: NumberPolicy
) -> None:
    assert await deliver_one_of_each(database, numbers) == [True, True, True]
    assert secrets_in(await all_values(database)) == set()


@pytest.mark.anyio
async def test_a_hashed_number_is_the_same_in_every_column(database: Database) -> None:
    await deliver_one_of_each(database, HASH)
    call = await call_row(database)
    assert (call.from_number, call.to_number) == (HASH.redact_number(CALLER), HASH.redact_number(CALLEE))
    assert (await all_values(database)).count(
        str(HASH.redact_number(CALLER))
    ) == 5  # call_log, facts, From, Caller; recording


@pytest.mark.anyio
async def test_a_dropped_number_is_in_no_column(database: Database) -> None:
    await deliver_one_of_each(database, DROP)
    call = await call_row(database)
    assert (call.from_number, call.to_number, call.call_status) == (None, None, "completed")


@pytest.mark.anyio
@FORGETFUL
async def test_a_repeated_delivery_is_still_a_duplicate(database: Database, numbers: NumberPolicy) -> None:
    await deliver_one_of_each(database, numbers)
    assert await deliver_one_of_each(database, numbers) == [False, False, False]


def test_only_equal_numbers_have_equal_hashes() -> None:
    assert HASH.redact_number(CALLER) == HASH.redact_number(CALLER)
    assert HASH.redact_number(CALLER) != HASH.redact_number(CALLEE)
    assert re.fullmatch("hmac:[0-9a-f]{32}", str(HASH.redact_number(CALLER)))


def test_another_key_gives_another_hash() -> None:
    assert NumberPolicy("hash", b"other").redact_number(CALLER) != HASH.redact_number(CALLER)


@pytest.mark.parametrize("address", ["sip:alice@example.org", "client:alice", "whatsapp:+15005550006", "anonymous"])
def test_sip_and_client_addresses_are_redacted_too(address: str) -> None:
    assert str(HASH.redact_number(address)).startswith("hmac:")
    assert DROP.redact_number(address) is None


@pytest.mark.parametrize("numbers", [HASH, DROP, KEEP])
@pytest.mark.parametrize("nothing", [None, ""])
def test_a_missing_number_stays_missing(numbers: NumberPolicy, nothing: str | None) -> None:
    assert not numbers.redact_number(nothing)


def test_a_hashed_number_is_not_hashed_again_but_can_be_dropped() -> None:
    hashed = HASH.redact_number(CALLER)
    assert HASH.redact_number(hashed) == hashed
    assert DROP.redact_number(hashed) is None


def test_a_number_that_only_looks_hashed_is_hashed() -> None:
    assert HASH.redact_number(f"hmac:{CALLER}") != f"hmac:{CALLER}"


def test_a_dropped_fact_is_absent() -> None:
    facts: dict[str, Any] = {"from_number": CALLER, "to_number": CALLEE, "call_status": "ringing"}
    assert DROP.redact_facts(facts) == {"call_status": "ringing"}
    assert HASH.redact_facts(facts) == facts | {
        "from_number": HASH.redact_number(CALLER),
        "to_number": HASH.redact_number(CALLEE),
    }
    assert KEEP.redact_facts(facts) == facts


def is_kept(name: str, value: str, *addresses: str) -> bool:
    """Whether a parameter of a callback with these addresses is kept."""
    *_, (_, left) = DROP.redact_parameters((*(("From", address) for address in addresses), (name, value)))
    assert left in ("", value)
    return left == value


LONDON, NEW_YORK, REYKJAVIK = "+442079460000", "+15005550006", "+3545551234"
ANDORRA, VIENNA = "+376812345", "+43158858"


@pytest.mark.parametrize(
    ("number", "spelling"),
    [
        (LONDON, "<sip:02079460000@10.0.0.1;user=phone>"),
        (LONDON, "0044 20 7946 0000"),
        (LONDON, "(0)20 7946-0000"),
        (LONDON, "0044%2020%207946%200000"),
        (NEW_YORK, "(500) 555-0006"),
        (NEW_YORK, "1.500.555.0006 ext. 12"),
        (NEW_YORK, "٥٠٠٥٥٥٠٠٠٦"),
        (REYKJAVIK, "555 1234"),
        (ANDORRA, "812 345"),
        (VIENNA, "<sip:0158858@10.0.0.1>"),
        ("sip:+442079460000;ext=12@pbx.example.org", "020 7946 0000"),
        ("whatsapp:+15005550006", "500-555-0006"),
    ],
)
def test_a_number_is_recognised_in_every_spelling(number: str, spelling: str) -> None:
    assert not is_kept("SipHeader_X", f"about {spelling}", number)
    assert is_kept("SipHeader_X", f"about {spelling}", CALLEE)


@pytest.mark.parametrize(
    ("address", "named", "not_named"),
    [
        ("70123", "for=70123", "for=701234"),
        ("sip:1001@192.168.10.20", "<sip:1001@pbx>", "<sip:11001@192.168.10.20>"),
        ("sip:alice@example.org", '"A." <SIP:Alice@10.0.0.1>', "malice"),
        ("client:jané", "user%3Djan%C3%A9", "jane"),
    ],
)
def test_short_numbers_and_user_names_are_recognised_as_whole_words(address: str, named: str, not_named: str) -> None:
    assert not is_kept("SipHeader_X", named, address)
    assert is_kept("SipHeader_X", not_named, address)


@pytest.mark.parametrize("empty_address", ["", "anonymous:", "client:7", "+", "@", "hmac:" + "1001" * 8])
def test_an_empty_address_is_not_recognised_in_any_text(empty_address: str) -> None:
    assert is_kept("SipHeader_X", "7 1001 10011001 @ +", empty_address)


def test_digits_in_a_sid_or_a_timestamp_stay() -> None:
    moment, sid = "Sun, 22 Nov 2026 17:50:00 +0000", "RE" + "0a12b34c56d78e9f" * 2
    assert is_kept("Timestamp", moment, "+1 500 202 6175 0000")
    assert is_kept("RecordingSid", sid, "+15000123456")
    assert not is_kept("SipHeader_X", sid, "+15000123456")


def test_every_parameter_that_twilio_is_known_to_send_is_either_personal_or_plain() -> None:
    sent = {name for parameters, _ in CALLBACKS.values() for name, _ in parameters}
    assert sent - NUMBERS - OWNERS - PLAIN == set()
    assert PLAIN - sent == set()


def test_the_policy_follows_the_settings() -> None:
    hashing = Settings(_env_file=None, phone_numbers="hash", phone_number_key="k" * 16)
    assert NumberPolicy.from_settings(hashing) == HASH
    assert NumberPolicy.from_settings(Settings(_env_file=None)) == KEEP


PERSONAL = st.sampled_from(sorted(NUMBERS | OWNERS))
PHONE = st.from_regex(r"\+[1-9][0-9]{7,14}", fullmatch=True)


@given(
    st.lists(st.tuples(PERSONAL, PHONE), min_size=1, max_size=6),
    st.lists(st.tuples(st.sampled_from(["SipHeader_X", "Memo", "Unknown"]), st.text(max_size=8)), max_size=3),
    st.sampled_from([HASH, DROP]),
)
def test_no_parameter_keeps_the_digits_of_a_number(
    personal: list[tuple[str, str]], others: list[tuple[str, str]], numbers: NumberPolicy
) -> None:
    # Every other parameter repeats a number that a documented parameter holds.
    known = [number for name, number in personal if name in NUMBERS] or [CALLER]
    repeated = tuple((name, f"{text}{known[at % len(known)]}") for at, (name, text) in enumerate(others))
    kept = numbers.redact_parameters((*personal, *repeated))
    assert [name for name, _ in kept] == [name for name, _ in (*personal, *repeated)]
    for _, value in kept:
        assert value == "" or re.fullmatch("hmac:[0-9a-f]{32}", value)


@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=20)), max_size=6))
def test_redacting_twice_changes_nothing_more(pairs: list[tuple[str, str]]) -> None:
    for numbers in (HASH, DROP, KEEP):
        once = numbers.redact_parameters(tuple(pairs))
        assert numbers.redact_parameters(once) == once
