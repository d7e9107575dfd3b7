"""People who may use the pages, and their sessions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.tables import Person, PersonSession
from amd_service.domain import SCOPES_OF_ROLE, Principal, Role


@dataclass(frozen=True, slots=True)
class Credentials:
    """Values to check a password against."""

    person_id: int
    password_hash: str | None


async def add(session: AsyncSession, name: str, role: Role, password_hash: str | None, *, sees_numbers: bool) -> bool:
    """Add a person. Returns False if the name is taken."""
    values = {"name": name, "role": role, "password_hash": password_hash, "sees_numbers": sees_numbers}
    added = insert(Person).values(values).on_conflict_do_nothing().returning(Person.id)
    return await session.scalar(added) is not None


async def change(
    session: AsyncSession,
    name: str,
    *,
    role: Role | None = None,
    password_hash: str | None = None,
    sees_numbers: bool | None = None,
) -> bool:
    """Change what is not None, enable the person, and end all sessions. Returns False for an unknown name."""
    wanted = {"role": role, "password_hash": password_hash, "sees_numbers": sees_numbers}
    values = {column: value for column, value in wanted.items() if value is not None} | {"disabled_at": None}
    return await _update_and_sign_out(session, name, values)


async def sign_out_everywhere(session: AsyncSession, name: str) -> bool:
    """End all sessions of a person. Returns False for an unknown name."""
    return await _update_and_sign_out(session, name, {"name": name})


async def disable(session: AsyncSession, name: str) -> bool:
    """Disable a person and end all sessions. Returns False for an unknown name."""
    return await _update_and_sign_out(session, name, {"disabled_at": func.coalesce(Person.disabled_at, func.now())})


async def _update_and_sign_out(session: AsyncSession, name: str, values: Mapping[str, object]) -> bool:
    changed = update(Person).where(Person.name == name).values(values).returning(Person.id)
    person_id = await session.scalar(changed)
    if person_id is None:
        return False
    await session.execute(delete(PersonSession).where(PersonSession.person_id == person_id))
    return True


async def list_people(session: AsyncSession) -> list[Person]:
    """Return all people by name, the disabled too."""
    return list(await session.scalars(select(Person).order_by(Person.name)))


async def has_any(session: AsyncSession) -> bool:
    """Whether a person was ever added."""
    return bool(await session.scalar(select(exists().select_from(Person))))


async def find_credentials(session: AsyncSession, name: str) -> Credentials | None:
    """Return the password hash of an enabled person; None for any other name."""
    found = select(Person.id, Person.password_hash).where(Person.name == name, Person.disabled_at.is_(None))
    row = (await session.execute(found)).one_or_none()
    return None if row is None else Credentials(*row)


async def start_session(
    session: AsyncSession, checked: Credentials, token_sha256: str, lasts: timedelta, *, new_hash: str | None
) -> bool:
    """Start a session, and delete sessions that have expired.

    `checked`: the credentials that the password fits. `new_hash`: replaces the hash if it is not None. Returns False if
    the person was disabled or has a new password since.
    """
    is_same = (Person.password_hash == checked.password_hash, Person.disabled_at.is_(None))
    # The lock waits for a change of the person to commit. Without the lock, the change would end all sessions just
    # before this one starts.
    locked = select(Person).where(Person.id == checked.person_id, *is_same).with_for_update()
    person = await session.scalar(locked)
    if person is None:
        return False
    if new_hash is not None:
        person.password_hash = new_hash
    await session.execute(delete(PersonSession).where(PersonSession.expires_at < func.now()))
    values = {"token_sha256": token_sha256, "person_id": person.id, "expires_at": func.now() + lasts}
    await session.execute(insert(PersonSession).values(values))
    return True


async def end_session(session: AsyncSession, token_sha256: str) -> None:
    """End a session, if it exists."""
    await session.execute(delete(PersonSession).where(PersonSession.token_sha256 == token_sha256))


async def end_all_sessions(session: AsyncSession, token_sha256: str) -> None:
    """End all sessions of the person to whom a token belongs. Does nothing for an unknown token."""
    person_id = select(PersonSession.person_id).where(PersonSession.token_sha256 == token_sha256).scalar_subquery()
    await session.execute(delete(PersonSession).where(PersonSession.person_id == person_id))


async def find_by_session(session: AsyncSession, token_sha256: str) -> Principal | None:
    """Return the enabled person of a session that has not expired."""
    found = (
        select(Person)
        .join(PersonSession)
        .where(
            PersonSession.token_sha256 == token_sha256,
            PersonSession.expires_at > func.now(),
            Person.disabled_at.is_(None),
        )
    )
    return _principal(await session.scalar(found))


async def find_by_name(session: AsyncSession, name: str) -> Principal | None:
    """Return an enabled person whose name a trusted proxy has sent."""
    return _principal(await session.scalar(select(Person).where(Person.name == name, Person.disabled_at.is_(None))))


def _principal(person: Person | None) -> Principal | None:
    if person is None:
        return None
    role = Role(person.role)
    return Principal(person.name, SCOPES_OF_ROLE[role], sees_numbers=person.sees_numbers or role is Role.ADMIN)
