"""Checks who has access: API keys in the settings and in the database, and people."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from amd_service.cli.doctor.check_result import CheckResult, Health
from amd_service.database.condition import SchemaState
from amd_service.database.opening import build_pool
from amd_service.errors import AmdError
from amd_service.operations import credentials
from amd_service.settings import Settings

# 16 hexadecimal digits are 64 bits. Guessing 64 bits over a network is not feasible.
SHORTEST_API_KEY = 16


@dataclass(frozen=True, slots=True)
class Stored:
    """Rows in the database. `people`, `keys`: those with access. `any`: whether there are any, also without access."""

    people: int
    keys: int
    any: bool


async def check_access(settings: Settings) -> CheckResult:
    """Check whether somebody has access, and whether the API keys in the settings are long enough."""
    check = "access"
    short = sum(len(key.get_secret_value()) < SHORTEST_API_KEY for key in settings.api_keys)
    if short:
        cure = (
            f"keys are shorter than {SHORTEST_API_KEY} characters, so they can be guessed; use `openssl rand -hex 24`"
        )
        return CheckResult(check, Health.WARN, f"{short} of {len(settings.api_keys)} {cure}")
    stored = await _read_stored(settings)
    known = f"{len(settings.api_keys)} key(s) in AMD_API_KEYS"
    if stored is None:
        note = "people and keys in the database are not counted: `amd-service person list` and `key list` show them"
    else:
        known, note = f"{known}, {stored.keys} in the database, and {stored.people} people", ""
    if settings.api_keys or (stored and (stored.people or stored.keys)):
        return CheckResult(check, Health.OK, "; ".join(filter(None, (known, note))))
    cure = "set AMD_API_KEYS for programs, or run `amd-service person add NAME --role admin` for people"
    if stored and stored.any:
        return CheckResult(check, Health.WARN, f"all people are disabled and all keys are revoked: {cure}")
    return _check_open(settings, note, cure)


def _check_open(settings: Settings, note: str, cure: str) -> CheckResult:
    """Check a service without a known person and key."""
    check, nobody = "access", "no key and no person" if not note else f"no key is set ({note})"
    if settings.user_header:
        return CheckResult(check, Health.WARN, f"{nobody}: a proxy signs people in, but each needs a row; {cure}")
    if settings.is_local_only:
        return CheckResult(check, Health.OK, f"{nobody}: the service accepts only direct requests from this machine")
    if settings.is_published:
        return CheckResult(check, Health.FAIL, f"{nobody}, and AMD_PUBLIC_URL is public: the pages respond 403; {cure}")
    return CheckResult(check, Health.WARN, f"{nobody}, and AMD_HOST is {settings.host}: the pages respond 403; {cure}")


async def _read_stored(settings: Settings) -> Stored | None:
    """Return what the database contains; None if the database or its schema cannot be used, or is the embedded one."""
    if settings.database_url is None:
        return None
    async with AsyncExitStack() as stack:
        try:
            database = build_pool(settings, settings.database_url.get_secret_value())
            stack.push_async_callback(database.dispose)
            if (await database.condition()).state is not SchemaState.CURRENT:
                return None
            people = await credentials.list_people(database)
            keys = await credentials.list_api_keys(database)
        except AmdError:
            return None
    return Stored(
        people=sum(person.disabled_at is None for person in people),
        keys=sum(key.revoked_at is None for key in keys),
        any=bool(people or keys),
    )
