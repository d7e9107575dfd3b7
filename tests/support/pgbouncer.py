"""A real PgBouncer in front of a test database. It listens on a Unix socket only."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

from amd_service.database.embedded.account import Account, server_account

END_TIMEOUT_S = 30.0
_PORT = 6432


@contextmanager
def pgbouncer(database_url: str, *, pool_mode: str, pool_size: int = 4) -> Iterator[str]:
    """Run PgBouncer; yields the URL of the database behind it. `pool_size`: number of connections to Postgres."""
    # PgBouncer refuses to run as root. The account that runs the embedded Postgres may connect to its socket.
    account = server_account()
    directory = Path(tempfile.mkdtemp(prefix="amd-bouncer-", dir="/tmp"))
    os.chown(directory, account.uid, account.gid)
    config = directory / "pgbouncer.ini"
    config.write_text(
        f"[databases]\n* = {_target(database_url)}\n"
        f"[pgbouncer]\nlisten_addr =\nlisten_port = {_PORT}\nunix_socket_dir = {directory}\nauth_type = any\n"
        f"pool_mode = {pool_mode}\ndefault_pool_size = {pool_size}\n"
    )
    try:
        with _running(config, account):
            yield f"postgresql://amd@/{urlsplit(database_url).path[1:]}?host={quote(str(directory))}&port={_PORT}"
    finally:
        shutil.rmtree(directory)


def _target(database_url: str) -> str:
    """The server of a URL as PgBouncer's connection string. PgBouncer keeps the name of the database."""
    parts = urlsplit(database_url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    values = {
        "host": query.get("host") or parts.hostname or "127.0.0.1",
        "port": query.get("port") or str(parts.port or 5432),
        "user": unquote(parts.username or "postgres"),
        "password": unquote(parts.password or ""),
    }
    return " ".join(f"{name}='{value}'" for name, value in values.items() if value)


@contextmanager
def _running(config: Path, account: Account) -> Iterator[None]:
    command = [shutil.which("pgbouncer") or "/usr/sbin/pgbouncer", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **account.run_as)
    assert process.stderr is not None
    try:
        # PgBouncer logs this line when its socket accepts connections.
        for line in process.stderr:
            if "process up" in line:
                break
        else:
            raise RuntimeError("PgBouncer ended")
        yield
    finally:
        process.kill()
        process.communicate(timeout=END_TIMEOUT_S)
