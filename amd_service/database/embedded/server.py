"""Creates, starts and stops one Postgres server. All functions block, and the caller must hold the start lock."""

import os
import re
import shlex
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from amd_service.database.embedded.account import Account
from amd_service.database.embedded.binaries import find_binaries
from amd_service.errors import ConfigurationError
from amd_service.telemetry import get_logger

log = get_logger(__name__)

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
_POLL_S = 0.02
_ANSWER_TIMEOUT_S = 2.0

# https://www.postgresql.org/docs/current/protocol-message-formats.html: length 8, code 80877103
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)

# Maximum length, in bytes, of the path of the socket's directory. The path of a socket may have 103 bytes on macOS, and
# more on other systems. The file name `/.s.PGSQL.5432` takes 14 bytes.
_LONGEST_SOCKET_DIR = 88

# Errors that disappear on their own: the backends of a killed postmaster keep these resources for a moment.
_TRANSIENT = re.compile(r"shared memory block|lock file .* already exists")

# Prefix of socket directories in /tmp, which are used if the path below the data directory is too long.
_SHORT_PREFIX = "amd-socket-"

_NOT_DURABLE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True, slots=True)
class PidFile:
    """The file that a running postmaster keeps in its data directory. https://www.postgresql.org/docs/current/storage-file-layout.html"""

    pid: int
    socket_dir: Path
    ready: bool


class Server:
    """The Postgres server of one directory.

    The data is in `directory/postgres`. The socket is in `directory/socket`, or in /tmp if this path is too long.
    """

    def __init__(self, directory: Path, account: Account, *, throwaway: bool) -> None:
        self._directory = directory
        self._data = directory / "postgres"
        self._log = self._data / "server.log"
        self._account = account
        self._throwaway = throwaway

    def ensure_running(self) -> str:
        """Start the server unless it is running, and return its URL. Raises ConfigurationError if it does not start."""
        deadline = time.monotonic() + START_TIMEOUT_S
        socket_dir: Path | None = None
        while time.monotonic() < deadline:
            found = self._running()
            if found is None:
                # Only once: the first attempt deletes the pid file, which contains the path of an earlier directory.
                socket_dir = socket_dir or self._socket_dir()
                self._start(socket_dir)
            elif found.ready and _answers(found.socket_dir / ".s.PGSQL.5432"):
                return f"postgresql://postgres@/postgres?host={quote(str(found.socket_dir))}&port=5432"
            time.sleep(_POLL_S)
        raise ConfigurationError(
            f"the embedded Postgres did not start within {START_TIMEOUT_S:.0f} s: read {self._log} or set "
            "AMD_DATABASE_URL"
        )

    def is_running(self) -> bool:
        """Return whether the postmaster is alive."""
        return self._running() is not None

    def restart(self) -> None:
        """Start the server again after its postmaster has died. Raises ConfigurationError if the data is missing."""
        if not self._data.exists():
            raise ConfigurationError(
                f"the data of the embedded Postgres in {self._data} is missing: restore it from a backup, or restart "
                "amd-service to begin with an empty database"
            )
        self.ensure_running()

    def binaries(self) -> Path:
        """Return the folder with programs for the version of the data.

        Raises ConfigurationError if no folder has them.
        """
        return find_binaries(self._major(), self._account)

    def psql_command(self) -> str | None:
        """Return the shell command that opens psql while the server is running.

        Returns None if the server is not running and the location of its socket is not known yet.
        """
        found = self._running()
        socket_dir = self._directory / "socket" if found is None else found.socket_dir
        if found is None and not _is_usable(socket_dir):
            return None
        psql = self.binaries() / "psql"
        program = psql if psql.is_file() else "psql"
        return shlex.join(map(str, (program, "-h", socket_dir, "-p", "5432", "-U", "postgres")))

    def stop(self) -> None:
        """Stop the server if it is running. If the fast shutdown takes too long, an immediate shutdown follows."""
        found = self._running()
        if found is None:
            return
        for shutdown in (signal.SIGINT, signal.SIGQUIT):
            os.kill(found.pid, shutdown)
            deadline = time.monotonic() + STOP_TIMEOUT_S
            while self._running() is not None and time.monotonic() < deadline:
                time.sleep(_POLL_S)
        if self._is_ours(found.socket_dir):
            shutil.rmtree(found.socket_dir, ignore_errors=True)

    def _is_ours(self, socket_dir: Path) -> bool:
        """Return whether this class created the directory.

        The path comes from the pid file, which the server's account can change. Without this check, root could be made
        to delete any directory.
        """
        is_short = socket_dir.parent == Path("/tmp") and socket_dir.name.startswith(_SHORT_PREFIX)  # noqa: S108
        if not is_short and socket_dir != self._directory / "socket":
            return False
        found = socket_dir.lstat() if socket_dir.exists() else None
        return found is not None and stat.S_ISDIR(found.st_mode) and found.st_uid == self._account.uid

    def _running(self) -> PidFile | None:
        """Return the running postmaster, or None if no postmaster is running.

        The pid file alone is no proof: the process may have ended, and another process may have the same pid.
        """
        found = self._read_pid_file()
        if found is not None and str(self._data) in _command_line(found.pid):
            return found
        return None

    def _read_pid_file(self) -> PidFile | None:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            ready = len(lines) > 7 and lines[7].strip() == "ready"
            return PidFile(int(lines[0]), Path(lines[4] if len(lines) > 4 else ""), ready)
        except (FileNotFoundError, IndexError, ValueError):
            return None

    def _start(self, socket_dir: Path) -> None:
        binaries = self.binaries()
        if not self._data.exists():
            self._make_data(binaries)
        # The pid file is stale, because no postmaster is running. If another process had the same pid, Postgres would
        # refuse to start while this file exists.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        extra = _NOT_DURABLE if self._throwaway else ()
        options = ("listen_addresses=", f"unix_socket_directories={socket_dir}", "port=5432", *extra)
        flags = shlex.join(part for option in options for part in ("-c", option))
        command: list[str | Path] = [
            binaries / "pg_ctl",
            "start",
            "-w",
            "-t",
            str(int(START_TIMEOUT_S)),
            "-D",
            self._data,
        ]
        answer = self._run([*command, "-l", self._log, "-o", f"{flags} -c unix_socket_permissions=0700"])
        if answer.returncode == 0:
            return
        tail = self._log.read_text(errors="replace")[-2000:] if self._log.exists() else answer.stdout
        if _TRANSIENT.search(tail) is None:
            raise ConfigurationError(
                f"the embedded Postgres does not start: set AMD_DATABASE_URL or correct this error:\n{tail}"
            )

    def _major(self) -> int | None:
        try:
            return int((self._data / "PG_VERSION").read_text())
        except FileNotFoundError:
            return None

    def _make_data(self, binaries: Path) -> None:
        # The directory gets its final name when it is complete. If the process is killed earlier, no incomplete
        # directory has the final name.
        if not self._throwaway:
            log.info("creating the database", data_dir=str(self._directory))
        unfinished = self._directory / "postgres.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._account.make_private(unfinished)
        command: list[str | Path] = [binaries / "initdb", "-U", "postgres", "-A", "trust", "--locale=C", "-E", "UTF8"]
        if self._throwaway:
            command.append("--no-sync")
        answer = self._run([*command, "-D", unfinished])
        if answer.returncode != 0:
            raise ConfigurationError(
                f"initdb failed in {self._directory}: set AMD_DATABASE_URL or correct this error:\n{answer.stdout}"
            )
        unfinished.rename(self._data)

    def _socket_dir(self) -> Path:
        """Create a private directory for the socket. Its path is short, and has no comma or other separator.

        A directory of a server that died is used again, because running processes know its path.
        """
        near_data = self._directory / "socket"
        if _is_usable(near_data):
            shutil.rmtree(near_data, ignore_errors=True)
            self._account.make_private(near_data)
            return near_data
        died = self._read_pid_file()
        if died is not None and self._is_ours(died.socket_dir):
            return died.socket_dir
        short = Path(tempfile.mkdtemp(prefix=_SHORT_PREFIX, dir="/tmp"))
        os.chown(short, self._account.uid, self._account.gid)
        return short

    def _run(self, command: list[str | Path]) -> subprocess.CompletedProcess[str]:
        # The server must not inherit PGPORT, PGDATA and similar variables from this process.
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
        return subprocess.run(  # noqa: S603 - paths we found, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            env=environment,
            **self._account.run_as,
        )


def _answers(path: Path) -> bool:
    """Return whether a server responds at a socket. The pid file of a killed postmaster can still say `ready`.

    Sends an SSLRequest. Every server responds to this request with one byte, before authentication.
    """
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_ANSWER_TIMEOUT_S)
        try:
            client.connect(str(path))
            client.sendall(_SSL_REQUEST)
            return client.recv(1) in (b"S", b"N")
        except OSError:
            return False


def _is_usable(socket_dir: Path) -> bool:
    """Return whether the path of a socket's directory is short and has no comma or other separator."""
    is_plain = re.fullmatch(r"[\w./@+-]+", str(socket_dir), re.ASCII) is not None
    return is_plain and len(os.fsencode(socket_dir)) <= _LONGEST_SOCKET_DIR


def _command_line(pid: int) -> str:
    """Return the command line of a process, or an empty string if the process has ended or is a zombie."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
        except OSError:
            return ""
    listing = subprocess.run(  # noqa: S603
        ["ps", "-o", "command=", "-p", str(pid)],  # noqa: S607 - macOS
        capture_output=True,
        text=True,
        check=False,
    )
    return listing.stdout
