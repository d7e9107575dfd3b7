"""URLs as hosts, frameworks and poolers write them."""

import re
import traceback

import pytest

from amd_service.database.connection import connect
from amd_service.database.pool import Database
from amd_service.database.url import read_url
from amd_service.errors import ConfigurationError

BASE = "postgresql://u:p@h/n"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg", "postgresql+psycopg2"])
def test_every_common_url_scheme_is_accepted(scheme: str) -> None:
    assert read_url(f"{scheme}://u:p@h/n?sslmode=require").dsn == f"{BASE}?sslmode=require"


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("", ""),
        ("sslmode=require&channel_binding=require", "sslmode=require"),  # Neon
        ("channel_binding=require", "sslmode=require"),
        ("sslmode=verify-full&channel_binding=require", "sslmode=verify-full"),
        ("channel_binding=prefer", ""),
        ("options=endpoint%3Dep-1", "options=endpoint%3Dep-1"),  # Neon, for clients without SNI
        ("schema=public&pgbouncer=true&connection_limit=5&pool_timeout=10", ""),  # Prisma
        ("schema=calls", "search_path=%22calls%22"),
        ('schema=my "calls"', "search_path=%22my%20%22%22calls%22%22%22"),
        ("sslmode=require&supa=base-pooler.x", "sslmode=require"),  # Supabase
        ("ssl=true", "sslmode=require"),
        ("ssl=0", "sslmode=disable"),
        ("ssl=verify-full", "sslmode=verify-full"),
        ("ssl=true&sslmode=verify-ca", "sslmode=verify-ca"),
        ("sslmode=no-verify", "sslmode=require"),  # Heroku, node-postgres
        ("sslrootcert=system", "sslmode=verify-full"),
        (
            "application_name=amd 1&keepalives_idle=30&tcp_user_timeout=1&client_encoding=UTF8",
            "application_name=amd%201",
        ),
        ("target_session_attrs=read-write", "target_session_attrs=read-write"),
        ("TimeZone=Etc/GMT+1", "TimeZone=Etc/GMT%2B1"),
        ("user=me%40server&", "user=me%40server"),
        ("jit=off&work_mem=16MB&transaction_timeout=9s", "jit=off&work_mem=16MB&transaction_timeout=9s"),
    ],
)
def test_parameters_are_translated_or_dropped(given: str, read: str) -> None:
    expected = f"{BASE}?{read}" if read else BASE
    assert read_url(f"{BASE}?{given}" if given else BASE).dsn.replace("%2FGMT", "/GMT") == expected


def test_parameters_of_the_driver_leave_the_url() -> None:
    arguments = read_url(f" {BASE}?connect_timeout=7&statement_cache_size=0&connection_limit=1&sslsni=1\n")
    assert (arguments.dsn, arguments.connect_timeout_s) == (BASE, 7.0)
    assert arguments.ignored == ("connection_limit", "sslsni", "statement_cache_size")
    assert read_url(f"{BASE}?connect_timeout=0").connect_timeout_s is None


def test_several_hosts_and_sockets_are_accepted() -> None:
    for url in ("postgresql://u@h1:1,h2:2/n", "postgresql://u@/n?host=%2Frun%2Fpg", "postgresql://u:p@[::1]:5432/n"):
        assert read_url(url).dsn == url


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("hostaddr=10.0.0.1", "parameter hostaddr is not supported"),
        ("require_auth=scram&foo=1", "parameter foo, require_auth is not supported"),
        ("sslmode=strict", "sslmode is 'strict': use one of disable, allow"),
        ("ssl=maybe", "sslmode is 'maybe'"),
        ("target_session_attrs=master", "target_session_attrs is 'master': use one of any"),
        ("sslrootcert=system&sslmode=require", "needs sslmode=verify-full"),
        ("connect_timeout=5s", "connect_timeout is '5s'"),
        ("connect_timeout=-1", "connect_timeout is '-1'"),
        ("client_encoding=latin1", "the service uses UTF8"),
    ],
)
def test_any_other_parameter_is_named_in_one_line(query: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match="AMD_DATABASE_URL: the parameter") as caught:
        read_url(f"{BASE}?{query}")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "password",
    [
        "hunter/2secret",
        "hunter#2secret",
        "hunter?2secret",
        "[hunter2secret",
        "hunter@2secret",
        "1/secret",
        "1?secret=2",
        "a@hunter?secret=1",
        "a@hunter?secret",
        "1#secret",
        "99999999/secret",
    ],
)
@pytest.mark.anyio
async def test_a_password_that_breaks_the_url_is_hidden_and_the_error_names_the_cure(password: str) -> None:
    with pytest.raises(ConfigurationError, match="percent-encode") as caught:
        await connect(f"postgresql://amd:{password}@db/amd", statement_timeout_s=None)
    assert not re.search("hunter|secret", "".join(traceback.format_exception(caught.value)))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://user:hidden@host/name", "AMD_DATABASE_URL begins with 'mysql'"),
        ("jdbc:postgresql://user:hidden@host/name", "begins with 'jdbc'"),
        ("host=db user=amd password=hidden", "begins with 'no scheme'"),
        ('"postgresql://user:hidden@host/name"', "remove the quotation marks"),
    ],
)
def test_a_url_of_another_kind_is_an_error_that_hides_the_password(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Database(url)
    assert said in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_the_password_is_in_no_representation() -> None:
    assert "secret" not in repr(read_url("postgresql://u:secret@h/n"))


def test_the_error_names_the_setting_that_contains_the_url() -> None:
    with pytest.raises(ConfigurationError, match="AMD_OTHER_URL begins with 'ftp'"):
        read_url("ftp://h", "AMD_OTHER_URL")


@pytest.mark.parametrize("hosts", ["h:99999", "h:x", "h:-1", "h:1,", ",h", "[::1]:65536", "h:1,h:²"])
def test_a_host_or_port_that_cannot_exist_is_an_error(hosts: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_url(f"postgresql://u:p@{hosts}/n")


@pytest.mark.anyio
async def test_another_schema_is_honoured(database_url: str) -> None:
    separator = "&" if "?" in database_url else "?"
    connection = await connect(
        f"{database_url}{separator}schema=pg_catalog&application_name=a&jit=off", statement_timeout_s=5
    )
    try:
        assert await connection.fetchval("select current_schema()") == "pg_catalog"
        assert await connection.fetchval("show application_name") == "a"
        assert await connection.fetchval("show jit") == "off"
    finally:
        await connection.close()
