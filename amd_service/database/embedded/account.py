"""Who Postgres runs as. It refuses to run as root, so root lends it an account that can do nothing else."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from amd_service.errors import ConfigurationError


class RunAs(TypedDict, total=False):
    """The keywords of `subprocess` that switch the account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """An account of this machine; `switched` when it is not the one this process runs as."""

    name: str
    uid: int
    gid: int
    switched: bool

    @property
    def run_as(self) -> RunAs:
        return RunAs(user=self.uid, group=self.gid, extra_groups=[]) if self.switched else RunAs()

    def obstacle(self, directory: Path) -> Path | None:
        """The first directory, from the root on the way down to `directory`, closed to the account by mode bits."""
        way = (*reversed(directory.parents), directory)
        return next((path for path in way if not self._may_search(path.stat())), None)

    def make_private(self, directory: Path) -> None:
        """Create `directory` for this account alone. Never touches what is above it."""
        directory.mkdir(mode=0o700)
        if self.switched:
            os.chown(directory, self.uid, self.gid)

    def _may_search(self, status: os.stat_result) -> bool:
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def server_account() -> Account:
    """This process's own account or, for root, `postgres` or else `nobody`."""
    if os.geteuid() != 0:
        return Account(str(os.geteuid()), os.geteuid(), os.getegid(), switched=False)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid, switched=True)
    raise ConfigurationError(
        "Postgres does not run as root and there is no account `postgres` or `nobody`: "
        "start amd-service as another user or set AMD_DATABASE_URL"
    )
