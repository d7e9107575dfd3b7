"""Notices for all pages: what keeps the service from judging calls, or makes its verdicts unreliable."""

from collections.abc import Mapping
from dataclasses import dataclass

from amd_service.detection.classifier.state import Phase

_WAITING = frozenset({Phase.LOADING, Phase.WARMING, Phase.PROVING})


@dataclass(frozen=True, slots=True)
class Notice:
    """A line above a page. `is_temporary`: the notice ends without anybody's help, so pages soon ask again."""

    text: str
    is_error: bool = False
    is_temporary: bool = False


def classifier_notices(report: Mapping[str, object]) -> list[Notice]:
    """Return the notices about the classifier. `report`: `Runtime.classifier_report()`.

    A process that does not load the model has no notice, because other processes judge the recordings.
    """
    phase, reason = report["phase"], report["reason"]
    if phase in _WAITING:
        return [Notice(f"The model is not ready yet: {reason}. Recordings wait for it.", is_temporary=True)]
    if phase == Phase.FAILED:
        return [Notice(f"The model cannot be used: {reason}", is_error=True)]
    if phase == Phase.READY and report["demonstration"]:
        return [Notice("Demonstration model: its verdicts on real calls are unreliable. AMD_MODEL sets another model.")]
    return []


def database_notices(fault: str | None) -> list[Notice]:
    """Return the notice about the database. `fault`: why callbacks cannot be stored; None if they can be stored."""
    if fault is None:
        return []
    return [Notice(f"Callbacks cannot be stored now: {fault}.", is_error=True, is_temporary=True)]
