"""People, keys and sessions in the database."""

import asyncio
import hashlib
from datetime import timedelta

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type
from sqlalchemy import func, select, text

from amd_service.calls import people
from amd_service.calls.tables import ApiKey, Person, PersonSession
from amd_service.database.pool import Database, Timeouts
from amd_service.domain import AccessScope, Role
from amd_service.errors import ConfigurationError, DatabaseUnavailable
from amd_service.operations import credentials
from amd_service.operations.sign_in import PasswordChecker, sign_in
from tests.support.people import PASSWORD, TWELVE_HOURS, add_person, browser_of
from tests.support.sessions import WAITING_FOR_A_LOCK
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def try_password(database: Database, password: str, name: str = "ann") -> str | None:
    checker = PasswordChecker()
    return (await sign_in(database, checker, name, password, lasts=TWELVE_HOURS, replaces=None)).token


async def stored_hash(database: Database) -> str:
    async with database.transaction() as session:
        password_hash = await session.scalar(select(Person.password_hash))
    return str(password_hash)


async def count_sessions(database: Database) -> int:
    async with database.transaction() as session:
        return await session.scalar(select(func.count()).select_from(PersonSession)) or 0


async def test_a_password_is_stored_as_argon2id_with_the_recommended_cost(database: Database) -> None:
    await credentials.add_person(database, "ann", Role.VIEWER, PASSWORD)
    password_hash = await stored_hash(database)
    parameters = extract_parameters(password_hash)
    assert PASSWORD not in password_hash
    assert parameters.type is Type.ID
    # The second choice of RFC 9106, section 4: 64 MiB and 3 passes.
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (64 * 1024, 3, 4)
    assert await try_password(database, PASSWORD) is not None
    assert await try_password(database, PASSWORD + " ") is None


async def test_a_hash_with_other_parameters_is_replaced_at_the_next_sign_in(database: Database) -> None:
    await add_person(database)
    old = await stored_hash(database)
    assert await try_password(database, "wrong") is None
    assert await stored_hash(database) == old
    assert await try_password(database, PASSWORD) is not None
    assert await stored_hash(database) != old
    assert not PasswordHasher().check_needs_rehash(await stored_hash(database))
    assert await try_password(database, PASSWORD) is not None


async def test_a_session_stores_only_the_hash_of_its_token(database: Database) -> None:
    await add_person(database)
    browser = await browser_of(database)
    async with database.transaction() as session:
        (row,) = await session.scalars(select(PersonSession))
    assert row.token_sha256 == hashlib.sha256(browser.token.encode()).hexdigest()
    assert len(browser.token) >= 43  # 256 random bits


async def test_expired_sessions_are_deleted(database: Database) -> None:
    await add_person(database)
    for _ in range(3):
        await browser_of(database, lasts=timedelta(seconds=-1))
    await browser_of(database)
    assert await count_sessions(database) == 1


async def test_a_sign_in_that_overlaps_with_a_new_password_starts_no_session(database: Database) -> None:
    """The old password was right when it was checked. The change ends all sessions, so this one must not start."""
    await add_person(database)
    async with database.transaction() as session:
        checked = await people.find_credentials(session, "ann")
    assert checked is not None
    started: list[bool] = []

    async def start() -> None:
        async with database.transaction() as session:
            started.append(await people.start_session(session, checked, "0" * 64, TWELVE_HOURS, new_hash=None))

    async def waits_for_the_lock() -> bool:
        async with database.transaction() as session:
            return bool(await session.scalar(text(WAITING_FOR_A_LOCK)))

    async with database.transaction() as session:
        assert await people.change(session, "ann", password_hash="changed")
        task = asyncio.ensure_future(start())
        await until(waits_for_the_lock)
    await task
    assert started == [False]
    assert await count_sessions(database) == 0


async def test_changing_a_person_enables_the_person_and_ends_all_sessions(database: Database) -> None:
    await add_person(database)
    await browser_of(database)
    await credentials.disable_person(database, "ann")
    assert await try_password(database, PASSWORD) is None
    await credentials.change_person(database, "ann", role=Role.ADMIN)
    assert await count_sessions(database) == 0
    found = await credentials.find_by_session(database, (await browser_of(database)).token)
    assert found is not None
    assert AccessScope.ADMIN in found.scopes


@pytest.mark.parametrize("name", ["", " ann", "ann ", "a" * 101, "a\nb", "a\x00b", "local", "AMD_API_KEYS"])
async def test_a_name_that_is_confusing_is_refused(database: Database, name: str) -> None:
    with pytest.raises(ConfigurationError):
        await credentials.add_person(database, name, Role.VIEWER, None)
    with pytest.raises(ConfigurationError):
        await credentials.add_api_key(database, name, [AccessScope.READ])
    assert await credentials.find_by_proxy(database, name) is None


async def test_a_short_password_is_refused(database: Database) -> None:
    with pytest.raises(ConfigurationError, match="must have 12 to 1000 characters"):
        await credentials.add_person(database, "ann", Role.VIEWER, "x" * 11)
    await add_person(database)
    with pytest.raises(ConfigurationError, match="must have 12 to 1000 characters"):
        await credentials.change_person(database, "ann", password="")


async def test_a_name_is_used_once(database: Database) -> None:
    await add_person(database)
    with pytest.raises(ConfigurationError, match="'ann' exists already: use `amd-service person change"):
        await credentials.add_person(database, "ann", Role.ADMIN, None)
    await credentials.add_api_key(database, "dashboard", [AccessScope.READ])
    await credentials.revoke_api_key(database, "dashboard")
    with pytest.raises(ConfigurationError, match="'dashboard' exists already"):
        await credentials.add_api_key(database, "dashboard", [AccessScope.READ])


async def test_an_unknown_name_is_reported(database: Database) -> None:
    for work in (
        credentials.change_person(database, "eve"),
        credentials.disable_person(database, "eve"),
        credentials.sign_out_everywhere(database, "eve"),
        credentials.revoke_api_key(database, "eve"),
    ):
        with pytest.raises(ConfigurationError, match="'eve'"):
            await work


async def test_a_key_has_256_random_bits_and_only_its_hash_is_stored(database: Database) -> None:
    key = await credentials.add_api_key(database, "dashboard", [AccessScope.READ, AccessScope.CALL])
    assert key.startswith("amd_")
    assert len(key) == 4 + 43
    async with database.transaction() as session:
        (row,) = await session.scalars(select(ApiKey))
    assert row.key_sha256 == hashlib.sha256(key.encode()).hexdigest()
    assert row.scopes == ["call", "read"]
    found = await credentials.find_by_key(database, key)
    assert found is not None
    assert found.scopes == {AccessScope.READ, AccessScope.CALL}
    assert await credentials.find_by_key(database, key[:-1]) is None


async def test_people_and_keys_are_found_also_if_all_are_without_access(database: Database) -> None:
    assert not await credentials.has_people_or_keys(database)
    await credentials.add_api_key(database, "dashboard", [AccessScope.READ])
    await credentials.revoke_api_key(database, "dashboard")
    assert await credentials.has_people_or_keys(database)


async def test_keys_and_sessions_are_found_while_slow_queries_use_all_connections_for_reading(
    database_url: str, database: Database
) -> None:
    await add_person(database)
    browser = await browser_of(database)
    busy = Database(database_url, pool_size=3, timeouts=Timeouts(pool_s=0.3))
    async with busy.reading():
        with pytest.raises(DatabaseUnavailable):
            async with busy.reading():
                pass
        assert await credentials.find_by_session(busy, browser.token) is not None
        assert await credentials.find_by_key(busy, "amd_unknown") is None
    await busy.dispose()
