"""The account that Postgres runs as. Postgres refuses to run as root, so root uses an unprivileged account."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from amd_service.errors import ConfigurationError


class RunAs(TypedDict, total=False):
    """Keyword arguments for `subprocess.run` that set the account of the new process."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """An account of this machine. `switched`: this process runs as another account (root)."""

    name: str
    uid: int
    gid: int
    switched: bool

    @property
    def run_as(self) -> RunAs:
        return RunAs(user=self.uid, group=self.gid, extra_groups=[]) if self.switched else RunAs()

    def first_inaccessible(self, directory: Path) -> Path | None:
        """Return the first directory, from `/` down to `directory`, whose mode bits deny access to the account."""
        path_down = (*reversed(directory.parents), directory)
        return next((path for path in path_down if not self._can_search(path.stat())), None)

    def make_private(self, directory: Path) -> None:
        """Create `directory` so that only this account can access it. Never changes the parent directories."""
        directory.mkdir(mode=0o700)
        if self.switched:
            os.chown(directory, self.uid, self.gid)

    def _can_search(self, status: os.stat_result) -> bool:
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def server_account() -> Account:
    """Return the account of this process. For root: the account `postgres` if it exists, otherwise `nobody`."""
    if os.geteuid() != 0:
        return Account(str(os.geteuid()), os.geteuid(), os.getegid(), switched=False)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid, switched=True)
    raise ConfigurationError(
        "Postgres refuses to run as root, and this machine has no account `postgres` or `nobody`: "
        "start amd-service as another user or set AMD_DATABASE_URL"
    )
