"""Starting calls: what is allowed, at most once a key, and never again where it is not known what became of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import httpx2
import pytest
from pydantic import SecretStr
from sqlalchemy import func, select

from amd_service.calls import call_requests
from amd_service.calls.call_log import read_call
from amd_service.calls.database import Database
from amd_service.calls.tables import Base, CallRequest, RequestOutcome
from amd_service.domain import AccountSid
from amd_service.errors import (
    DatabaseUnavailable,
    KeyInUse,
    KeyReused,
    NotAllowed,
    OutcomeUnknown,
    RequestRefused,
    TooManyCalls,
    TwilioUnavailable,
)
from amd_service.lab.stand_in.media_host import Answer
from amd_service.lab.stand_in.server import StandIn
from amd_service.settings import Account, Settings
from amd_service.telemetry import Metrics
from amd_service.twilio.recordings import http_client
from amd_service.twilio.rest import CallOrder, Rest
from amd_service.worker import dialling as dialling_file
from amd_service.worker.dialling import Dialler, Started
from tests.twilio.stand_in import watched_stand_in

pytestmark = pytest.mark.anyio

AC = AccountSid("AC" + "1" * 32)
TOKEN = "a" * 32
ORDER = CallOrder(to="+12125550100", from_number="+15005550006", url="https://example.com/twiml")


def make_settings(**changes: object) -> Settings:
    values: dict[str, object] = {
        "public_url": "https://amd.example.com",
        "twilio_account_sid": AC,
        "twilio_auth_token": [SecretStr(TOKEN)],
        "dial_prefixes": ["+1212", "+49"],
        **changes,
    }
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Phone:
    """A Dialler over a stand-in for Twilio."""

    dialler: Dialler
    settings: Settings
    stand_in: StandIn
    database: Database
    client: httpx2.AsyncClient

    async def start(self, key: str | None = None, order: CallOrder = ORDER) -> Started:
        return await self.dialler.start(order, self.settings.accounts[AC], key)

    async def requests(self) -> list[CallRequest]:
        async with self.database.transaction() as session:
            return list(await session.scalars(select(CallRequest)))

    def another(self) -> "Phone":
        """Another process of the same deployment."""
        return replace(self, dialler=make_dialler(self.database, self.client, self.settings))


def make_dialler(database: Database, client: httpx2.AsyncClient, settings: Settings) -> Dialler:
    return Dialler(database, Rest(client, settings), settings, Metrics())


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    async with watched_stand_in(Account.model_validate({"account_sid": AC, "auth_tokens": [TOKEN]})) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with http_client(make_settings(twilio_api_url="http://127.0.0.1:1")) as client:
        yield client


@pytest.fixture
def phone(stand_in: StandIn, client: httpx2.AsyncClient, database: Database) -> Phone:
    return make_phone(stand_in, client, database)


def make_phone(stand_in: StandIn, client: httpx2.AsyncClient, database: Database, **changes: object) -> Phone:
    settings = make_settings(twilio_api_url=stand_in.url, **changes)
    return Phone(make_dialler(database, client, settings), settings, stand_in, database, client)


@asynccontextmanager
async def taking_the_turn(database_url: str) -> AsyncIterator[None]:
    """Somebody else is counting the calls of the last minute, and does not come to an end."""
    other = Database(database_url)
    async with other.transaction() as session:
        await session.execute(select(func.pg_advisory_xact_lock(call_requests._RESERVATION_LOCK)))
        yield
    await other.dispose()


async def test_a_call_is_placed_recorded_and_known_at_once(phone: Phone) -> None:
    started = await phone.start()
    call = phone.stand_in.rest.calls[started.call_sid]
    assert (call.to_number, call.given("Record"), call.given("RecordingTrack")) == (ORDER.to, "true", "inbound")
    assert call.given("StatusCallback") == "https://amd.example.com/twilio/status#rt=6000&rc=3&rp=5xx,ct,rt"
    assert (started.status, started.replayed) == ("queued", False)
    async with phone.database.transaction() as session:
        row = await read_call(session, started.call_sid)
    assert row is not None
    assert (row["call_status"], row["analysis_state"], row["to_number"]) == ("queued", "waiting", ORDER.to)


async def test_the_same_key_places_one_call_and_tells_of_it_again(phone: Phone) -> None:
    first = await phone.start("key")
    assert await phone.another().start("key") == Started(first.call_sid, "queued", replayed=True)
    assert len(phone.stand_in.rest.calls) == 1


async def test_without_a_key_every_request_is_one_of_its_own(phone: Phone) -> None:
    assert (await phone.start()).call_sid != (await phone.start()).call_sid


async def test_twenty_at_once_with_one_key_place_one_call(phone: Phone) -> None:
    other = phone.another()
    answers = await asyncio.gather(*(process.start("key") for process in [phone, other] * 10), return_exceptions=True)
    assert len(phone.stand_in.rest.calls) == 1
    assert sum(isinstance(answer, Started) and not answer.replayed for answer in answers) == 1
    assert all(isinstance(answer, Started | KeyInUse) for answer in answers)


@pytest.mark.parametrize(
    "other",
    [
        replace(ORDER, to="+12125550199"),
        replace(ORDER, track="both"),
        replace(ORDER, ring_s=30),
        replace(ORDER, url=None, twiml="<Response/>"),
    ],
    ids=["to", "track", "ring_s", "twiml"],
)
async def test_the_same_key_with_another_request_is_refused(phone: Phone, other: CallOrder) -> None:
    await phone.start("key")
    with pytest.raises(KeyReused, match="needs a new key"):
        await phone.start("key", other)
    assert len(phone.stand_in.rest.calls) == 1


async def test_equal_orders_are_stored_alike_only_under_one_secret(phone: Phone) -> None:
    """Whoever reads the table must not find the number by trying them all."""
    await phone.start("one")
    await phone.start("two")
    one, two = await phone.requests()
    assert one.fingerprint == two.fingerprint
    other_secret = make_settings(twilio_auth_token=[SecretStr("b" * 32)]).accounts[AC]
    with pytest.raises(KeyReused):
        await phone.dialler.start(ORDER, other_secret, "one")


@pytest.mark.parametrize(
    ("outcome", "said"),
    [(RequestOutcome.PENDING, "under way"), (RequestOutcome.UNKNOWN, "may have been placed")],
)
async def test_what_is_not_known_is_said_before_orders_are_compared(
    phone: Phone, outcome: RequestOutcome, said: str
) -> None:
    """A caller that is told to take a new key takes one, and a telephone may ring twice."""
    async with phone.database.transaction() as session:
        session.add(CallRequest(key="key", fingerprint="under a secret of before", account_sid=AC, outcome=outcome))
    with pytest.raises(KeyInUse, match=said):
        await phone.start("key")


async def test_the_call_that_was_placed_under_a_secret_of_before_is_named(phone: Phone) -> None:
    placed = await phone.start("key")
    rotated = make_settings(twilio_auth_token=[SecretStr("b" * 32)]).accounts[AC]
    with pytest.raises(KeyReused, match=f"{placed.call_sid} .*before the account's secret changed"):
        await phone.dialler.start(ORDER, rotated, "key")


async def test_orders_are_compared_as_they_were_given(
    stand_in: StandIn, client: httpx2.AsyncClient, database: Database
) -> None:
    order = replace(ORDER, url=None)
    before = make_phone(stand_in, client, database, live=True)
    after = make_phone(stand_in, client, database, live=True, public_url="https://moved.example.com")
    placed = await before.start("key", order)
    assert await after.start("key", order) == replace(placed, replayed=True)


async def test_the_limit_a_minute_holds_for_all_processes_together(
    stand_in: StandIn, client: httpx2.AsyncClient, database: Database
) -> None:
    phone = make_phone(stand_in, client, database, dial_per_minute=3)
    other = phone.another()
    answers = await asyncio.gather(*(process.start() for process in [phone, other] * 4), return_exceptions=True)
    assert len(stand_in.rest.calls) == 3
    refused = [answer for answer in answers if isinstance(answer, TooManyCalls)]
    assert len(refused) == 5
    assert all(50 < answer.retry_after_s <= 60 and "AMD_DIAL_PER_MINUTE" in str(answer) for answer in refused)


async def test_what_twilio_refuses_leaves_the_key_free(phone: Phone) -> None:
    phone.stand_in.rest.first.append(Answer(400, b'{"code": 21215, "message": "Geo permission"}'))
    with pytest.raises(RequestRefused, match="Geo permission") as refused:
        await phone.start("key")
    assert refused.value.code == 21215
    assert not (await phone.start("key")).replayed


async def test_the_url_of_a_refused_order_stays_out_of_the_log(phone: Phone, capfd: pytest.CaptureFixture[str]) -> None:
    order = replace(ORDER, url="https://user:password@example.com/twiml?key=secret")
    said = b'{"code": 21205, "message": "Url is not a valid url: %s"}' % str(order.url).encode()
    phone.stand_in.rest.first.append(Answer(400, said))
    with pytest.raises(RequestRefused, match="key=secret"):
        await phone.start("key", order)
    logged = "".join(capfd.readouterr())
    assert "Url is not a valid url: …" in logged
    assert [secret for secret in ("password", "secret") if secret in logged] == []


async def test_twilio_being_busy_leaves_the_key_free(phone: Phone) -> None:
    phone.stand_in.rest.first.append(Answer(429, headers={"retry-after": "7"}))
    with pytest.raises(TwilioUnavailable) as busy:
        await phone.start("key")
    assert busy.value.retry_after_s == 7
    assert await phone.requests() == []


@pytest.mark.parametrize(
    "answer",
    [
        Answer(503, carried_out=True),
        Answer(201, b"{", cut=True, carried_out=True),
        Answer(201, b"no JSON", carried_out=True),
        Answer(201, b"{}", carried_out=True),
    ],
    ids=["5xx", "cut", "unreadable", "empty"],
)
async def test_a_call_whose_answer_was_lost_is_never_placed_again(phone: Phone, answer: Answer) -> None:
    phone.stand_in.rest.first.append(answer)
    with pytest.raises(OutcomeUnknown, match="may have been placed"):
        await phone.start("key")
    with pytest.raises(KeyInUse, match="reconcile"):
        await phone.start("key")
    assert len(phone.stand_in.rest.calls) == 1


async def test_numbers_that_must_not_be_kept_are_not(
    stand_in: StandIn, client: httpx2.AsyncClient, database: Database
) -> None:
    phone = make_phone(stand_in, client, database, phone_numbers="drop")
    started = await phone.start("key")
    async with database.transaction() as session:
        stored = [(await session.execute(select(table))).all() for table in Base.metadata.sorted_tables]
    assert started.call_sid in repr(stored)
    assert ORDER.to not in repr(stored)
    assert ORDER.from_number not in repr(stored)


async def test_without_a_database_twilio_is_not_asked(stand_in: StandIn, client: httpx2.AsyncClient) -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/nowhere")
    with pytest.raises(DatabaseUnavailable):
        await make_phone(stand_in, client, away).start()
    assert stand_in.rest.requests == []


async def test_orders_wait_for_postgres_two_at_a_time_and_not_for_long(
    phone: Phone, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialling_file, "WAIT_S", 0.05)
    async with taking_the_turn(database_url):
        orders = [asyncio.create_task(phone.start()) for _ in range(5)]
        refused = await asyncio.gather(*orders[2:], return_exceptions=True)
        assert all(isinstance(error, DatabaseUnavailable) and "earlier orders" in str(error) for error in refused)
        assert not any(order.done() for order in orders[:2])
    await asyncio.gather(*orders[:2])
    assert len(phone.stand_in.rest.calls) == 2
    assert not (await phone.start()).replayed


async def test_what_is_not_allowed_is_neither_asked_nor_written_down(
    stand_in: StandIn, client: httpx2.AsyncClient, database: Database
) -> None:
    phone = make_phone(stand_in, client, database, dial_prefixes=[])
    with pytest.raises(NotAllowed, match="AMD_DIAL_PREFIXES"):
        await phone.start("key")
    with pytest.raises(RequestRefused, match="printable ASCII"):
        await make_phone(stand_in, client, database).start("naïve")
    assert (stand_in.rest.requests, await phone.requests()) == ([], [])


async def test_a_live_deployment_plays_its_own_twiml_where_nothing_else_is_said(
    stand_in: StandIn, client: httpx2.AsyncClient, database: Database
) -> None:
    phone = make_phone(stand_in, client, database, live=True)
    started = await phone.start(None, replace(ORDER, url=None))
    url = stand_in.rest.calls[started.call_sid].given("Url")
    assert url is not None
    assert url.startswith("https://amd.example.com/twilio/stream.xml")
