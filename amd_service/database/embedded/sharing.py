"""Any number of processes share one embedded server.

Each holds a shared `flock` while it uses the server; whoever leaves last stops it. The kernel drops the lock of
a killed process, so a server is never orphaned for good: the next user adopts it, and stops it.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import anyio.to_thread

from amd_service.database.embedded.account import Account, server_account
from amd_service.database.embedded.server import Server
from amd_service.errors import ConfigurationError

THROWAWAY_PREFIX = "amd-postgres-"


@asynccontextmanager
async def embedded_postgres(data_dir: Path | None, *, throwaway: bool = False) -> AsyncIterator[str]:
    """A private Postgres; yields its URL.

    `data_dir` keeps the data and is shared by every process that names it; None takes a directory of its own.
    A throwaway directory (None always is) is removed by the last one out, and nothing in it is made durable.
    Raises ConfigurationError where no Postgres can be run, saying what to do.
    """
    account = server_account()
    if data_dir is None:
        await anyio.to_thread.run_sync(_sweep, account)
        data_dir = Path(tempfile.mkdtemp(prefix=THROWAWAY_PREFIX))
        throwaway = True
    seat = Seat(data_dir.expanduser().resolve(), account, throwaway=throwaway)
    try:
        yield await anyio.to_thread.run_sync(seat.take)
    finally:
        # Not handed to a thread: it must also happen when this task is being cancelled, and takes about 0.1 s.
        seat.leave()


def check_embedded(data_dir: Path) -> Path:
    """The folder of the programs that would serve `data_dir`, which is made as `embedded_postgres` would make it.

    Blocking. Raises ConfigurationError as that would, as far as can be told without starting the server.
    """
    return Seat(data_dir.expanduser().resolve(), server_account(), throwaway=False).check()


class Seat:
    """One process's share in the server of a directory."""

    def __init__(self, directory: Path, account: Account, *, throwaway: bool) -> None:
        self._directory = directory
        self._account = account
        self._throwaway = throwaway
        self._server = Server(directory, account, throwaway=throwaway)
        self._users: int | None = None

    def take(self) -> str:
        """Join the server, starting it if need be; its URL."""
        with self._usable(), self._only_one():
            self._users = _open(self._directory / "users.lock")
            fcntl.flock(self._users, fcntl.LOCK_SH)
            return self._server.ensure_running()

    def check(self) -> Path:
        """Whether the seat could be taken: the folder of the programs. Starts nothing."""
        with self._usable(), self._only_one():
            return self._server.binaries()

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigurationError(
                f"AMD_DATA_DIR {self._directory} cannot be used ({error}): choose another or set AMD_DATABASE_URL"
            ) from error

    def leave(self) -> None:
        """Give up the seat; the last one out stops the server. Does nothing where no seat was taken."""
        if self._users is None:
            return
        try:
            with self._only_one():
                self._stop_if_alone(self._users)
        finally:
            os.close(self._users)
            self._users = None

    def sweep(self) -> None:
        """Stop and remove a throwaway server whose users were all killed."""
        with self._only_one():
            self._users = _open(self._directory / "users.lock")
        self.leave()

    def _stop_if_alone(self, users: int) -> None:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        self._server.stop()
        if self._throwaway:
            shutil.rmtree(self._directory, ignore_errors=True)

    @contextmanager
    def _only_one(self) -> Iterator[None]:
        """Hold the lock under which servers are started and stopped."""
        path = self._directory / "start.lock"
        while True:
            self._make_directory()
            handle = _open(path)
            fcntl.flock(handle, fcntl.LOCK_EX)
            # Whoever held it before may have removed the directory: then this is the lock of nothing.
            if path.exists() and path.stat().st_ino == os.fstat(handle).st_ino:
                break
            os.close(handle)
        try:
            yield
        finally:
            os.close(handle)

    def _make_directory(self) -> None:
        if not self._directory.exists():
            self._directory.mkdir(parents=True, exist_ok=True)
            # The account must pass through to its own directories; nobody else finds anything to read here.
            self._directory.chmod(0o711 if self._account.switched else 0o700)
        elif self._throwaway and self._account.switched:
            self._directory.chmod(0o711)
        closed = self._account.obstacle(self._directory)
        if closed is not None:
            raise ConfigurationError(
                f"account {self._account.name}, which Postgres runs as, cannot reach AMD_DATA_DIR {self._directory}: "
                f"{closed} is closed to it; choose a directory it can reach, e.g. below /var/lib, or set "
                "AMD_DATABASE_URL"
            )


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _sweep(account: Account) -> None:
    for directory in Path(tempfile.gettempdir()).resolve().glob(f"{THROWAWAY_PREFIX}*"):
        if _is_ours(directory) and (directory / "users.lock").exists():
            # Another process may be sweeping it at this very moment.
            with suppress(FileNotFoundError):
                Seat(directory, account, throwaway=True).sweep()


def _is_ours(path: Path) -> bool:
    """Whether this is a directory of this account's, and no link to one.

    Asked before anything inside is looked at: anybody can put a link, or a directory that only he may read, where
    temporary files go.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False  # another process has just swept it
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
