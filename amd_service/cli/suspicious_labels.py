"""Searches a dataset for wrong labels, if the libraries for that are installed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from amd_service.cli.bars import Bars
from amd_service.database.opening import open_database
from amd_service.domain import CallSid
from amd_service.errors import ConfigurationError
from amd_service.lab.dataset.audio_folder import read_manifest, write_manifest
from amd_service.lab.dataset.left_out import SUSPICIOUS
from amd_service.lab.dataset.placing import Placed
from amd_service.operations.review.request_recheck import request_recheck
from amd_service.settings import Settings

INSTALL = "pip install 'amd-service[train,cleanlab]'"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`found`: number of suspicious labels, None if they were not searched for. `line`: the result for people.

    `doubtful`: calls with a suspicious label that fewer than two people gave.
    """

    found: int | None
    line: str
    doubtful: Sequence[CallSid] = ()


NOT_CHECKED = CheckResult(None, f"labels were not checked (--check-labels; needs {INSTALL})")


def will_check(wanted: bool | None) -> bool:
    """Return whether to check labels. None: only if the libraries are installed.

    Raises ConfigurationError if the check is wanted and a library is missing.
    """
    missing = [name for name in ("sklearn", "cleanlab") if find_spec(name) is None]
    if wanted and missing:
        raise ConfigurationError(f"--check-labels needs the extras train and cleanlab (licence AGPL): {INSTALL}")
    return not missing if wanted is None else wanted


async def check_labels(folder: Path, placed: Sequence[Placed], settings: Settings, bars: Bars) -> CheckResult:
    """Write `suspicious.csv`, and the number of suspicious labels into the manifest."""
    from amd_service.lab.dataset.suspicious import (
        FOLDS,
        can_be_checked,
        find_suspicious,
        write_suspicious,
    )

    with bars.show("checking labels") as (begin, done):
        begin(len(can_be_checked(placed)))
        found = await asyncio.to_thread(find_suspicious, placed, settings, done=done)
    if found is None:
        return CheckResult(None, f"labels were not checked: each label needs recordings of {FOLDS} groups")
    write_suspicious(folder, found)
    write_manifest(folder, {**read_manifest(folder), "suspicious": len(found)})
    line = f"{'suspicious':>12}  {len(found)} {'label' if len(found) == 1 else 'labels'}; see {SUSPICIOUS}"
    return CheckResult(
        len(found), line, [CallSid(each.call_sid) for each in found if each.call_sid and each.reviewers in ("", "1")]
    )


async def send_to_review(settings: Settings, call_sids: Sequence[CallSid]) -> int:
    """Ask people about calls, and return the number of calls that nobody was asked about before."""
    async with open_database(settings, with_worker=False) as database:
        return await request_recheck(database, call_sids)
