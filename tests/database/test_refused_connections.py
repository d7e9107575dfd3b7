"""A mistake in the configuration is named; an outage is waited for."""

import errno
import gc
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from amd_service.database.connection import connect
from amd_service.database.driver_errors import failed_connection
from amd_service.database.opening import open_database
from amd_service.database.pool import Database
from amd_service.errors import DatabaseMisconfigured, DatabaseUnavailable
from amd_service.operations.health import database_fault
from amd_service.settings import Settings
from tests.support.tls_postgres import TlsPostgres, error_response, make_certificate, responder, tls_postgres

# asyncpg leaves the transport below a TLS connection to the garbage collector if Postgres refuses the login.
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[TlsPostgres]:
    with tls_postgres() as server:
        yield server
    gc.collect()


@pytest.fixture
async def role(server: TlsPostgres) -> str:
    await execute(server.url(), "drop role if exists amd; create role amd login password 'right'")
    return "amd"


async def execute(url: str, statement: str) -> None:
    connection = await connect(url, statement_timeout_s=10)
    await connection.execute(statement)
    await connection.close()


async def misconfigured(url: str) -> DatabaseMisconfigured:
    with pytest.raises(DatabaseMisconfigured) as caught:
        await connect(url, statement_timeout_s=5)
    assert "\n" not in str(caught.value)
    assert "AMD_DATABASE_URL" in str(caught.value)
    return caught.value


@pytest.mark.parametrize("query", ["sslmode=require&channel_binding=require", "ssl=true", "sslmode=no-verify", ""])
async def test_tls_without_verification(server: TlsPostgres, role: str, query: str) -> None:
    await execute(f"{server.url(f'{role}:right', 'postgres')}{query}", "select 1")


@pytest.mark.parametrize(("mode", "host"), [("verify-full", "localhost"), ("verify-ca", "127.0.0.1")])
async def test_a_certificate_in_a_file_verifies_the_server(server: TlsPostgres, mode: str, host: str) -> None:
    await execute(server.url(host=host, sslmode=mode, sslrootcert=str(server.certificate)), "select 1")


async def test_certificates_of_the_system_verify_the_server(
    server: TlsPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = await misconfigured(server.url(sslrootcert="system"))
    assert error.reason == "the certificate of Postgres is not valid"
    monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
    await execute(server.url(sslrootcert="system"), "select 1")


async def test_a_certificate_of_another_authority_or_host_is_named(server: TlsPostgres, tmp_path: Path) -> None:
    make_certificate(tmp_path / "other.pem", tmp_path / "other.key")
    for url in (
        server.url(sslmode="verify-full", sslrootcert=str(tmp_path / "other.pem")),
        server.url(host="127.0.0.1", sslmode="verify-full", sslrootcert=str(server.certificate)),
    ):
        error = await misconfigured(url)
        assert error.reason == "the certificate of Postgres is not valid"
        assert "certificate verify failed" in str(error)


@pytest.mark.parametrize("parameter", ["sslrootcert", "sslcert", "sslkey", "sslcrl"])
async def test_a_missing_file_is_named(server: TlsPostgres, tmp_path: Path, parameter: str) -> None:
    for path in (tmp_path / "none.pem", tmp_path):
        error = await misconfigured(server.url(sslmode="require", **{parameter: str(path)}))
        assert f"{parameter}={path} is missing" in str(error)


async def test_a_file_without_a_certificate_is_named(server: TlsPostgres, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    error = await misconfigured(server.url(sslmode="require", sslrootcert=str(tmp_path / "empty.pem")))
    assert "sslrootcert" in str(error) or "ssl…" in str(error)


async def test_verification_without_a_file_names_the_file(server: TlsPostgres) -> None:
    assert "root certificate file" in str(await misconfigured(server.url(sslmode="verify-full")))


@pytest.mark.parametrize(
    ("user", "database", "mode", "reason"),
    [
        ("amd:wrong", "postgres", "require", "Postgres refuses the password"),
        ("amd", "postgres", "require", "Postgres refuses the password"),
        ("nobody:x", "postgres", "require", "Postgres refuses the password"),
        ("amd:right", "missing", "require", "the database does not exist"),
        ("amd:right", "rejected", "require", "Postgres refuses the role"),
        ("amd:right", "postgres", "disable", "Postgres refuses the role"),
        ("amd:right", "closed", "require", "the role has no CONNECT privilege on the database"),
        ("nologin:right", "postgres", "require", "Postgres refuses the role"),
    ],
)
async def test_every_refusal_of_a_login_has_its_own_reason(
    server: TlsPostgres, role: str, user: str, database: str, mode: str, reason: str
) -> None:
    await execute(server.url(), "drop role if exists nologin; create role nologin password 'right'")
    connection = await connect(server.url(), statement_timeout_s=10)
    if not await connection.fetchval("select true from pg_database where datname = 'closed'"):
        await connection.execute("create database closed")
        await connection.execute("revoke all on database closed from public")
    await connection.close()
    error = await misconfigured(server.url(user, database, sslmode=mode))
    assert error.reason == reason
    assert "right" not in str(error)


async def test_a_refused_session_setting_is_named(server: TlsPostgres) -> None:
    error = await misconfigured(server.url(timezone="Mars"))
    assert error.reason == "Postgres refuses a parameter of the database URL"
    assert "Mars" in str(error)


async def test_a_password_that_changes_while_the_service_runs_is_misconfigured(server: TlsPostgres, role: str) -> None:
    database = Database(server.url(f"{role}:right", sslmode="require"))
    async with database.transaction():
        pass
    await execute(server.url(), "alter role amd password 'new'")
    await database.dispose()
    with pytest.raises(DatabaseMisconfigured, match="password authentication failed"):
        await database.condition()
    await database.dispose()


@pytest.mark.parametrize(
    ("response", "mode"), [(b"N", "require"), (b"N", "verify-full&sslrootcert=system"), (b"HTTP/1.1 400\r\n", "prefer")]
)
async def test_a_server_without_tls_or_of_another_kind_is_named(response: bytes, mode: str) -> None:
    async with responder(response) as port:
        error = await misconfigured(f"postgresql://u@127.0.0.1:{port}/n?sslmode={mode}")
    assert error.reason == "the server refuses TLS or is not Postgres"


@pytest.mark.parametrize(
    ("state", "message", "reason"),
    [
        ("57P03", "the database system is starting up", None),
        ("53300", "sorry, too many clients already", None),
        ("08P01", "pgbouncer cannot connect to server", None),
        ("XX000", "max clients reached", None),
        ("08P01", "unsupported startup parameter: search_path", "Postgres refuses a parameter of the database URL"),
        ("08P01", "no such user: amd", "Postgres refuses the role"),
        ("08P01", "no such database: amd", "the database does not exist"),
        ("XX000", "Tenant or user not found", "Postgres refuses the role"),
    ],
)
async def test_the_response_of_a_server_or_pooler_decides(state: str, message: str, reason: str | None) -> None:
    async with responder(error_response(state, message)) as port:
        with pytest.raises(DatabaseUnavailable, match=message) as caught:
            await connect(f"postgresql://u@127.0.0.1:{port}/n?sslmode=disable", statement_timeout_s=5)
    assert getattr(caught.value, "reason", None) == reason


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), None),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), None),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), None),
        (OSError("Multiple exceptions"), None),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), None),
        (PermissionError(errno.EACCES, "denied"), "the operating system refuses the connection to Postgres"),
        (ssl.SSLEOFError(), None),
        (ssl.SSLError(1, "bad key"), "TLS with Postgres fails"),
    ],
)
def test_errors_of_the_network_are_outages_and_refusals_are_not(error: OSError, reason: str | None) -> None:
    assert getattr(failed_connection(error, "AMD_DATABASE_URL"), "reason", None) == reason


async def test_a_lost_server_is_an_outage() -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        await connect("postgresql://u@127.0.0.1:1/n", statement_timeout_s=5)
    assert not isinstance(caught.value, DatabaseMisconfigured)


async def test_a_server_without_the_wanted_role_is_an_outage(server: TlsPostgres) -> None:
    with pytest.raises(DatabaseUnavailable, match="target_session_attrs") as caught:
        await connect(server.url(target_session_attrs="standby"), statement_timeout_s=5)
    assert not isinstance(caught.value, DatabaseMisconfigured)


async def test_the_service_starts_while_the_container_of_postgres_has_no_name(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def lookup(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    async with open_database(Settings(_env_file=None, database_url="postgresql://u:p@postgres:5432/n")) as database:
        assert await database_fault(database) == "the database is unavailable"
    logged = "".join(capfd.readouterr())
    assert "correct the host in AMD_DATABASE_URL" in logged
