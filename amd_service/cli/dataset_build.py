"""Builds a dataset with a progress bar and prints its report."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from amd_service.cli.bars import Bars
from amd_service.cli.suspicious_labels import NOT_CHECKED, check_labels, send_to_review
from amd_service.errors import ConfigurationError
from amd_service.lab.dataset.building import BuildReport, Progress, build_dataset
from amd_service.lab.dataset.gathering import Sources
from amd_service.lab.dataset.left_out import LEFT_OUT, TEMPORARY
from amd_service.lab.dataset.splitting import SHARES, Shares
from amd_service.lab.synthesis.voices import Split
from amd_service.settings import Settings
from amd_service.telemetry.command_name import next_command


def parse_shares(text: str) -> Shares:
    """Parse `70,15,15`, the percentages of train, validation and test. Raises ConfigurationError."""
    parts = text.split(",")
    if len(parts) != len(Split) or not all(part.strip().isdecimal() for part in parts):
        raise ConfigurationError(f"--split {text} is invalid: use three whole numbers, such as 70,15,15")
    shares = dict(zip(Split, (int(part) / 100 for part in parts), strict=True))
    if sum(map(int, parts)) != 100:
        raise ConfigurationError(f"--split {text} is invalid: the sum must be 100")
    return shares


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """A dataset to build. `check`: search for wrong labels. `send_to_review`: ask people about these labels."""

    folder: Path
    sources: Sources
    shares: Shares = field(default_factory=lambda: SHARES)
    seed: int = 0
    check: bool = False
    send_to_review: bool = False

    def raise_if_useless(self) -> None:
        """Raise ConfigurationError if the options do not fit together."""
        if not (self.sources.use_calls or self.sources.folder):
            raise ConfigurationError("no source is given: use --from-reviews, --labels CSV or --from-folder FOLDER")
        if self.send_to_review and not self.sources.use_calls:
            raise ConfigurationError("--send-to-review needs --from-reviews or --labels: files cannot be reviewed")


async def build_and_print(plan: BuildPlan, settings: Settings, *, as_json: bool) -> bool:
    """Build the dataset and print its report.

    Returns False if the same command may find more recordings later.
    """
    plan.raise_if_useless()
    folder = plan.folder
    bars = Bars(is_shown=not as_json)
    with bars.show("collecting") as (begin, done):
        progress = Progress(begin, done)
        built = await build_dataset(
            folder, plan.sources, settings, shares=plan.shares, seed=plan.seed, progress=progress
        )
    checked = await check_labels(folder, built.placed, settings, bars) if plan.check else NOT_CHECKED
    sent = await send_to_review(settings, checked.doubtful) if plan.send_to_review else None
    report = built.report
    if as_json:
        document = {"folder": str(folder), **asdict(report), "suspicious": checked.found, "sent_to_review": sent}
        print(json.dumps(document))  # noqa: T201 - the command's output
    else:
        print("\n".join((*_lines(folder, report), checked.line)))  # noqa: T201 - the command's output
        if sent is not None:
            print(f"{sent} calls were added to the queue `Check again` of /review")  # noqa: T201 - the command's output
        if report.is_complete:
            print(next_command("train", folder, "--out", "MODEL"))  # noqa: T201 - the command's output
    return report.is_complete


def _lines(folder: Path, report: BuildReport) -> Iterable[str]:
    seconds = report.seconds
    yield f"{report.files} recordings in {folder}"
    for split, labels in report.labels.items():
        yield f"{split:>12}  {_counts(labels)}  in {report.groups[split]} groups"
    yield f"{'languages':>12}  {_counts(report.languages)}"
    yield (
        f"{'lengths':>12}  {seconds['shortest']} s to {seconds['longest']} s, median {seconds['median']} s, "
        f"{seconds['total'] / 3600:.2f} h in total"
    )
    if report.without_speech:
        yield f"{'no speech':>12}  {report.without_speech} recordings: the service calls them undecided"
    if report.mixed:
        yield f"{'mixed':>12}  {report.mixed} recordings contain both parties: record with two channels"
    if report.without_number:
        yield f"{'no number':>12}  {report.without_number} calls are a group of their own"
    if report.left_out:
        yield f"{'left out':>12}  {_counts(report.left_out)}; see {LEFT_OUT}"
    if not report.is_complete:
        missing = sum(report.left_out.get(reason, 0) for reason in TEMPORARY)
        yield f"{missing} recordings could not be fetched for now: see {LEFT_OUT}, and run the same command again"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
