"""Shares one embedded server between several processes.

Each process holds a shared `flock` while it uses the server, and the last process that leaves stops the server. The
kernel releases the lock of a killed process. If the last process is killed, the server keeps running until the next
process joins and leaves.
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
    """Start or join a private Postgres; yields its URL. Raises ConfigurationError if Postgres cannot run.

    `data_dir`: directory of the data. All processes with the same directory share one server. None creates a throwaway
    directory. `throwaway`: the last process that leaves deletes the directory, and Postgres does not sync its files.
    """
    account = server_account()
    if data_dir is None:
        data_dir = await anyio.to_thread.run_sync(_make_throwaway_directory, account)
        throwaway = True
    server = SharedServer(data_dir.expanduser().resolve(), account, throwaway=throwaway)
    try:
        yield await anyio.to_thread.run_sync(server.join)
    finally:
        # Not in a thread, because `leave` must also run while this task is being cancelled. It blocks for about 0.1 s.
        server.leave()


def _make_throwaway_directory(account: Account) -> Path:
    try:
        remove_abandoned(account)
        return Path(tempfile.mkdtemp(prefix=THROWAWAY_PREFIX))
    except OSError as error:
        raise ConfigurationError(
            f"no temporary directory is writable ({error}): set TMPDIR to a writable directory"
        ) from error


def check_embedded(data_dir: Path) -> Path:
    """Check, without starting the server, whether `embedded_postgres` can use `data_dir`. Blocking.

    Creates the directory if it is missing, and returns the folder of the Postgres programs. Raises ConfigurationError.
    """
    return SharedServer(data_dir.expanduser().resolve(), server_account(), throwaway=False).check()


def restart_if_dead(data_dir: Path) -> bool:
    """Start the server of `data_dir` again if it has died while this process uses it. Blocking.

    Returns whether this call has started the server. The URL stays the same. Raises ConfigurationError if the server
    does not start.
    """
    return SharedServer(data_dir.expanduser().resolve(), server_account(), throwaway=False).restart_if_dead()


def psql_command(data_dir: Path) -> str | None:
    """Return the shell command that opens psql while the server of `data_dir` is running. Blocking.

    Returns None if the server is not running and the location of its socket is not known yet.
    """
    return Server(data_dir.expanduser().resolve(), server_account(), throwaway=False).psql_command()


def remove_abandoned(account: Account) -> None:
    """Stop and delete throwaway servers of this account that no process uses any more. Blocking.

    Such servers remain after all processes that used them were killed.
    """
    for directory in Path(tempfile.gettempdir()).resolve().glob(f"{THROWAWAY_PREFIX}*"):
        if _is_own_directory(directory) and (directory / "users.lock").exists():
            # Another process may delete the directory at the same time.
            with suppress(FileNotFoundError):
                SharedServer(directory, account, throwaway=True).stop_if_unused()


class SharedServer:
    """The server of a directory, as used by this process and possibly by others."""

    def __init__(self, directory: Path, account: Account, *, throwaway: bool) -> None:
        self._directory = directory
        self._account = account
        self._throwaway = throwaway
        self._server = Server(directory, account, throwaway=throwaway)
        self._users: int | None = None

    def join(self) -> str:
        """Join the server and return its URL. Starts the server if it is not running."""
        with self._translated_errors(), self._start_lock():
            self._users = open_lock_file(self._directory / "users.lock")
            fcntl.flock(self._users, fcntl.LOCK_SH)
            return self._server.ensure_running()

    def restart_if_dead(self) -> bool:
        """Start the server if it has died while a process uses it. Returns whether this call has started it."""
        if self._server.is_running():
            return False
        with self._translated_errors(), self._start_lock():
            # Meanwhile another process may have restarted the server, or the last process may have stopped it.
            if self._server.is_running() or not self._is_used():
                return False
            self._server.restart()
            return True

    def _is_used(self) -> bool:
        """Return whether a process has joined the server. The caller must hold the start lock."""
        path = self._directory / "users.lock"
        if not path.exists():
            return True  # the whole directory was deleted, and the processes hold the deleted file
        users = open_lock_file(path)
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(users)
        return False

    def check(self) -> Path:
        """Return the folder of the programs for this directory. Starts nothing. Raises ConfigurationError."""
        with self._translated_errors(), self._start_lock():
            return self._server.binaries()

    def leave(self) -> None:
        """Leave the server, and stop it if no other process uses it. Does nothing if this process has not joined."""
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
                f"AMD_DATA_DIR {self._directory} cannot be used ({error}): choose another directory or set "
                "AMD_DATABASE_URL"
            ) from error

    @contextmanager
    def _start_lock(self) -> Iterator[None]:
        """Hold the lock that is needed to start or stop the server of this directory."""
        path = self._directory / "start.lock"
        while True:
            self._make_directory()
            handle = open_lock_file(path)
            fcntl.flock(handle, fcntl.LOCK_EX)
            # The previous holder of the lock may have deleted the directory. Other processes then lock a new file, so
            # this lock is useless and the loop tries again.
            if path.exists() and path.stat().st_ino == os.fstat(handle).st_ino:
                break
            os.close(handle)
        try:
            yield
        finally:
            os.close(handle)

    def _make_directory(self) -> None:
        nearest = next(path for path in (self._directory, *self._directory.parents) if path.exists())
        if not nearest.is_dir():
            raise ConfigurationError(
                f"AMD_DATA_DIR {self._directory} cannot be used: {nearest} is not a directory; choose another "
                "directory or set AMD_DATABASE_URL"
            )
        if not self._directory.exists():
            self._directory.mkdir(parents=True, exist_ok=True)
            # 0o711: the server's account must be able to access its own subdirectories. Other accounts cannot list this
            # directory.
            self._directory.chmod(0o711 if self._account.switched else 0o700)
        elif self._throwaway and self._account.switched:
            self._directory.chmod(0o711)
        closed = self._account.first_inaccessible(self._directory)
        if closed is not None:
            raise ConfigurationError(
                f"Postgres runs as account {self._account.name}, which cannot access AMD_DATA_DIR {self._directory}: "
                f"{closed} denies access; choose a directory that this account can access, e.g. below /var/lib, or "
                "set AMD_DATABASE_URL"
            )


def open_lock_file(path: Path) -> int:
    """Open the lock file, and create it if it is missing. Returns a file descriptor."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _is_own_directory(path: Path) -> bool:
    """Return whether the path is a directory that belongs to this account, and not a symbolic link.

    Call this before reading anything in the directory: every account can create links and directories in the folder for
    temporary files.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False  # another process has just deleted the directory
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
