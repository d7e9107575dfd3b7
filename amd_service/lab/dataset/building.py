"""Builds a dataset: gathers labels, fetches audio, removes duplicates, splits by group, writes files and manifest."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from amd_service import __version__
from amd_service.calls.labelled_recordings import RecordedCall
from amd_service.detection.audio.input import AudioInput
from amd_service.detection.prepared_audio import SEARCH_MS
from amd_service.domain import Failure
from amd_service.errors import Permanent
from amd_service.lab.dataset.audio_folder import write_manifest
from amd_service.lab.dataset.audio_store import open_store
from amd_service.lab.dataset.candidates import Candidate
from amd_service.lab.dataset.collecting import Collector, Sleep
from amd_service.lab.dataset.gathering import Gathered, Sources, gather
from amd_service.lab.dataset.labelled_files import LabelledFile, raise_if_label_missing
from amd_service.lab.dataset.left_out import TEMPORARY, LeftOut, count_by_reason, write_left_out
from amd_service.lab.dataset.placing import Placed, place, without_duplicates
from amd_service.lab.dataset.splitting import SHARES, Shares
from amd_service.lab.synthesis.voices import Split
from amd_service.runtime.recorded_calls import RecordedCalls, open_recorded_calls
from amd_service.settings import Settings

# The longest window for which the audio of a dataset is enough, in ms.
LONGEST_WINDOW_MS = 10_000


@dataclass(frozen=True, slots=True)
class Progress:
    """Called with the number of recordings when it is known, and after each recording."""

    begin: Callable[[int], None] = lambda _count: None
    done: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class BuildReport:
    """Figures of a dataset. `labels`: files by split and label. `groups`: by split. `languages`: files by language.

    `seconds`: total, shortest, median and longest. `without_speech`: files in which no speech was found. `mixed`: files
    that contain both parties. `without_number`: calls that are their own group. `left_out`: entries by reason.
    `newest_review`: time of the latest answer that was read, in ISO 8601.
    """

    files: int
    labels: Mapping[str, Mapping[str, int]]
    groups: Mapping[str, int]
    languages: Mapping[str, int]
    seconds: Mapping[str, float]
    without_speech: int
    mixed: int
    without_number: int
    left_out: Mapping[str, int]
    newest_review: str | None

    @property
    def is_complete(self) -> bool:
        """Whether the same command would find nothing more."""
        return not TEMPORARY & self.left_out.keys()


@dataclass(frozen=True, slots=True)
class Built:
    """A built dataset. `placed`: its recordings."""

    report: BuildReport
    placed: Sequence[Placed]


async def build_dataset(
    folder: Path,
    sources: Sources,
    settings: Settings,
    *,
    shares: Shares = SHARES,
    seed: int = 0,
    progress: Progress = Progress(),
    sleep: Sleep = asyncio.sleep,
) -> Built:
    """Build a dataset in `folder`, or continue an earlier build: existing audio is not fetched again.

    Raises DatasetUnusable, ConfigurationError or DatabaseUnavailable. The message names the cure.
    """
    async with AsyncExitStack() as stack:
        store = stack.enter_context(open_store(folder, source=sources.folder))
        calls = await stack.enter_async_context(open_recorded_calls(settings)) if sources.use_calls else None
        gathered = await gather(sources, calls)
        progress.begin(len(gathered.candidates))
        max_ms = SEARCH_MS + max(settings.window_ms or 0, settings.long_window_ms or 0, LONGEST_WINDOW_MS)

        async def fetch(candidate: Candidate) -> AudioInput:
            return await _fetch(candidate, calls, max_ms)

        collector = Collector(store, fetch, max_ms=max_ms, done=progress.done, sleep=sleep)
        collected, failed = await collector.collect(gathered.candidates)
        kept, duplicates = without_duplicates(collected)
        left_out = sorted([*gathered.left_out, *failed, *duplicates])
        reasons = ", ".join(f"{count} {reason}" for reason, count in count_by_reason(left_out).items())
        where = f"the new dataset{f' (left out: {reasons})' if reasons else ''}"
        raise_if_label_missing([LabelledFile(each.stored.path, each.candidate.label) for each in kept], where=where)
        known = [each.name for each in gathered.candidates]
        placed = place(folder, store, kept, known=known, shares=shares, seed=seed)
        report = _report(placed, left_out, gathered)
        write_left_out(folder, left_out)
        write_manifest(folder, _manifest(report, sources, shares, seed, max_ms))
    return Built(report, placed)


async def _fetch(candidate: Candidate, calls: RecordedCalls | None, max_ms: int) -> AudioInput:
    match candidate.origin:
        case RecordedCall() as recording:
            assert calls is not None
            if not recording.is_audible:
                raise Permanent("the recording was deleted, or was never completed", Failure.MEDIA_MISSING)
            return await calls.fetch(recording, max_ms=max_ms)
        case LabelledFile() as file:
            return await asyncio.to_thread(file.audio_input)


def _report(placed: Sequence[Placed], left_out: Sequence[LeftOut], gathered: Gathered) -> BuildReport:
    files = [each.file for each in placed]
    seconds = [each.collected.duration_ms / 1000 for each in placed]
    newest = gathered.newest_review
    return BuildReport(
        files=len(files),
        labels={split: dict(sorted(_labels(files, split).items())) for split in Split if _labels(files, split)},
        groups={split: len({file.group for file in files if file.split is split}) for split in Split},
        languages=dict(Counter(file.language or "unknown" for file in files).most_common()),
        seconds={
            "total": round(sum(seconds), 1),
            "shortest": round(min(seconds), 1),
            "median": round(median(seconds), 1),
            "longest": round(max(seconds), 1),
        },
        without_speech=sum(each.collected.onset_ms is None for each in placed),
        mixed=sum(each.collected.stored.is_mixed for each in placed),
        without_number=gathered.without_number,
        left_out=count_by_reason(left_out),
        newest_review=None if newest is None else newest.astimezone(UTC).isoformat(timespec="seconds"),
    )


def _labels(files: Sequence[LabelledFile], split: Split) -> Counter[str]:
    return Counter(file.label for file in files if file.split is split)


def _manifest(report: BuildReport, sources: Sources, shares: Shares, seed: int, max_ms: int) -> dict[str, object]:
    """Return the content of `dataset.json`: where the data comes from, and how it was built."""
    return {
        "format": 1,
        "built_by": f"amd-service {__version__}",
        "built_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "sources": {
            "reviews": sources.reviews,
            "labels": None if sources.labels is None else sources.labels.name,
            "folder": None if sources.folder is None else sources.folder.name,
        },
        "settings": {
            "group_by": sources.group_by or "number",
            "shares": {str(split): share for split, share in shares.items()},
            "seed": seed,
            "max_audio_ms": max_ms,
            "keep_other": sources.keep_other,
        },
        **asdict(report),
    }
