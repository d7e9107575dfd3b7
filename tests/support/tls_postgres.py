"""A Postgres of the tests that listens on TCP, with TLS, passwords and its own certificate."""

import asyncio
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from amd_service.database.embedded.account import server_account
from amd_service.database.embedded.binaries import find_binaries

SETTINGS = """
ssl = on
ssl_cert_file = '{certificate}'
ssl_key_file = '{key}'
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
fsync = off
"""

RULES = """
host    rejected all      127.0.0.1/32 reject
hostssl all      postgres 127.0.0.1/32 trust
hostssl all      all      127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True, slots=True)
class TlsPostgres:
    """`certificate`: self-signed, for the name `localhost` and not for its address."""

    port: int
    certificate: Path

    def url(self, user: str = "postgres", database: str = "postgres", host: str = "localhost", **query: str) -> str:
        parameters = "&".join(f"{name}={value}" for name, value in query.items())
        return f"postgresql://{user}@{host}:{self.port}/{database}?{parameters}"


@contextmanager
def tls_postgres() -> Iterator[TlsPostgres]:
    """Start the server in a directory of its own, and delete it at the end."""
    account = server_account()
    binaries = find_binaries(None, account)
    directory = Path(tempfile.mkdtemp(prefix="amd-test-"))
    directory.chmod(0o711)
    account.make_private(directory / "data")

    def run(program: str, *arguments: str | Path) -> None:
        command = [binaries / program, "-D", directory / "data", *arguments]
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, **account.run_as)

    try:
        run("initdb", "-U", "postgres", "-A", "trust", "--no-sync", "--locale=C", "-E", "UTF8")
        server = TlsPostgres(_free_port(), directory / "certificate.pem")
        _configure(server, directory, account.uid)
        run("pg_ctl", "start", "-w", "-l", directory / "data" / "log")
        yield server
        run("pg_ctl", "stop", "-m", "immediate")
    finally:
        shutil.rmtree(directory)


def make_certificate(certificate: Path, key: Path) -> None:
    """Write a self-signed certificate for `localhost`, and its key."""
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    new = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subprocess.run([*new, "-keyout", key, "-out", certificate, *subject], check=True, capture_output=True)


def _configure(server: TlsPostgres, directory: Path, uid: int) -> None:
    key = directory / "data" / "server.key"
    make_certificate(server.certificate, key)
    key.chmod(0o600)
    shutil.chown(key, uid)
    settings = SETTINGS.format(certificate=server.certificate, key=key, port=server.port)
    (directory / "data" / "postgresql.auto.conf").write_text(settings)
    (directory / "data" / "pg_hba.conf").write_text(RULES)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@asynccontextmanager
async def responder(response: bytes) -> AsyncIterator[int]:
    """A server that sends `response` to the first message of each connection. Yields its port."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(response)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def error_response(state: str, message: str) -> bytes:
    """An ErrorResponse. https://www.postgresql.org/docs/current/protocol-message-formats.html"""
    fields = b"".join(
        code + value.encode() + b"\0" for code, value in ((b"S", "FATAL"), (b"C", state), (b"M", message))
    )
    return b"E" + (len(fields) + 5).to_bytes(4, "big") + fields + b"\0"
