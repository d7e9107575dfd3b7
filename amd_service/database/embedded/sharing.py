"""One embedded server that several processes share.

Each process holds a shared `flock` while it uses the server, and the last one to leave stops it. The kernel drops the
lock of a killed process, so no server stays orphaned for good: the next process that joins also stops it.
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
    """Run or join a private Postgres; yields its URL.

    `data_dir` keeps the data and is shared by every process that names it; None creates a throwaway directory. The
    last process to leave deletes a throwaway directory, and Postgres makes nothing in it durable. Raises
    ConfigurationError, which names the cure, if Postgres cannot run.
    """
    account = server_account()
    if data_dir is None:
        await anyio.to_thread.run_sync(remove_abandoned, account)
        data_dir = Path(tempfile.mkdtemp(prefix=THROWAWAY_PREFIX))
        throwaway = True
    server = SharedServer(data_dir.expanduser().resolve(), account, throwaway=throwaway)
    try:
        yield await anyio.to_thread.run_sync(server.join)
    finally:
        # Not in a thread: it must also run while this task is being cancelled. It takes about 0.1 s.
        server.leave()


def check_embedded(data_dir: Path) -> Path:
    """The folder of the programs that would serve `data_dir`. Creates the directory as `embedded_postgres` would.

    Blocking. Raises ConfigurationError for every fault that can be found without starting the server.
    """
    return SharedServer(data_dir.expanduser().resolve(), server_account(), throwaway=False).check()


def remove_abandoned(account: Account) -> None:
    """Stop and delete throwaway servers of this account whose users were all killed. Blocking."""
    for directory in Path(tempfile.gettempdir()).resolve().glob(f"{THROWAWAY_PREFIX}*"):
        if _is_own_directory(directory) and (directory / "users.lock").exists():
            # Another process may be deleting it at the same time.
            with suppress(FileNotFoundError):
                SharedServer(directory, account, throwaway=True).stop_if_unused()


class SharedServer:
    """This process's use of the server of a directory."""

    def __init__(self, directory: Path, account: Account, *, throwaway: bool) -> None:
        self._directory = directory
        self._account = account
        self._throwaway = throwaway
        self._server = Server(directory, account, throwaway=throwaway)
        self._users: int | None = None

    def join(self) -> str:
        """Join the server, starting it if it does not run; its URL."""
        with self._translated_errors(), self._start_lock():
            self._users = open_lock_file(self._directory / "users.lock")
            fcntl.flock(self._users, fcntl.LOCK_SH)
            return self._server.ensure_running()

    def check(self) -> Path:
        """The folder of the programs that `join` would run. Raises ConfigurationError; starts nothing."""
        with self._translated_errors(), self._start_lock():
            return self._server.binaries()

    def leave(self) -> None:
        """Leave the server, and stop it if no other process uses it. Does nothing if this process never joined."""
        if self._users is None:
            return
        try:
            with self._start_lock():
                self._stop_if_last(self._users)
        finally:
            os.close(self._users)
            self._users = None

    def stop_if_unused(self) -> None:
        """Stop the server, and delete a throwaway directory, if no process uses it."""
        with self._start_lock():
            self._users = open_lock_file(self._directory / "users.lock")
        self.leave()

    def _stop_if_last(self, users: int) -> None:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        self._server.stop()
        if self._throwaway:
            shutil.rmtree(self._directory, ignore_errors=True)

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigurationError(
                f"AMD_DATA_DIR {self._directory} cannot be used ({error}): choose another or set AMD_DATABASE_URL"
            ) from error

    @contextmanager
    def _start_lock(self) -> Iterator[None]:
        """Hold the lock under which servers are started and stopped."""
        path = self._directory / "start.lock"
        while True:
            self._make_directory()
            handle = open_lock_file(path)
            fcntl.flock(handle, fcntl.LOCK_EX)
            # The process that held the lock before may have deleted the directory. Then this file is no longer the one
            # that other processes lock.
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
            # The server's account must pass through to its own directories. Others can pass too, but read nothing.
            self._directory.chmod(0o711 if self._account.switched else 0o700)
        elif self._throwaway and self._account.switched:
            self._directory.chmod(0o711)
        closed = self._account.first_inaccessible(self._directory)
        if closed is not None:
            raise ConfigurationError(
                f"account {self._account.name}, which Postgres runs as, cannot reach AMD_DATA_DIR {self._directory}: "
                f"{closed} is closed to it; choose a directory it can reach, e.g. below /var/lib, or set "
                "AMD_DATABASE_URL"
            )


def open_lock_file(path: Path) -> int:
    """A file descriptor of the lock file, which is created if it is missing."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _is_own_directory(path: Path) -> bool:
    """Whether the path is a directory of this account, and not a link to one.

    Checked before anything inside is read: in the folder for temporary files anybody can create a link, or a directory
    that only its owner may read.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False  # another process has just deleted it
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
