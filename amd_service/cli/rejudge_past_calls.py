"""Runs `amd-service rejudge` and prints the result."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from amd_service.calls.judged_again import Period
from amd_service.cli.times import parse_period
from amd_service.database.opening import open_database
from amd_service.operations.rejudge import Rejudged
from amd_service.operations.requeue import RequeueReport, requeue_judged
from amd_service.runtime.shadow import open_rejudger
from amd_service.settings import Settings

# Recordings per minute with another model, if the command has no number. Twilio's own limits are far higher.
PER_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the command."""

    since: str
    until: str | None = None
    model: str | None = None
    campaign: str | None = None
    limit: int | None = None
    per_minute: int | None = None
    dry_run: bool = False

    def period(self, now: datetime) -> Period:
        """Return the calls that the options select. Raises ConfigurationError if no call can match."""
        since, until = parse_period(self.since, self.until, now=now)
        return Period(since, until or now, self.campaign)


async def rejudge_and_print(settings: Settings, options: Options, *, as_json: bool) -> None:
    """Judge the calls again, or let workers judge them, and print the numbers."""
    period = options.period(datetime.now(UTC))
    if options.model is not None and not options.dry_run:
        counts = await _judge_with(settings, options.model, period, options, quiet=as_json)
        values, lines = asdict(counts), _rejudged_lines(counts)
    else:
        async with open_database(settings) as database:
            report = await requeue_judged(
                database,
                period,
                dry_run=options.dry_run,
                limit=options.limit,
                per_minute=options.per_minute,
            )
        values, lines = asdict(report), _requeued_lines(report, options)
    print(json.dumps(values) if as_json else "\n".join(lines))  # noqa: T201 - the command's output


async def _judge_with(settings: Settings, model: str, period: Period, options: Options, *, quiet: bool) -> Rejudged:
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    per_minute = options.per_minute or PER_MINUTE
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task("loading the model", total=options.limit)
        async with open_rejudger(settings, model, per_minute=per_minute) as rejudger:
            progress.update(task, description="judging again")
            return await rejudger.rejudge(period, limit=options.limit, progress=lambda: progress.advance(task))


def _rejudged_lines(counts: Rejudged) -> list[str]:
    lines = [f"{counts.judged} recording(s) judged, {counts.known} were judged by this model before"]
    if counts.no_runs:
        lines.append(f"{counts.no_runs} recording(s) have no speech or are too short, so the model did not run")
    if counts.gone:
        lines.append(f"{counts.gone} recording(s) were deleted at Twilio")
    if counts.failed:
        reasons = ", ".join(f"{name} {count}" for name, count in sorted(counts.failed.items()))
        lines.append(f"not judged, by reason: {reasons}; run the command again for those that may succeed later")
    return lines


def _requeued_lines(report: RequeueReport, options: Options) -> list[str]:
    done = "would be requeued" if options.dry_run else "requeued"
    lines = [f"{report.requeued} recording(s) of {report.calls} call(s) {done}, to be judged after all new recordings"]
    if not report.requeued:
        lines.append("calls are selected by the time at which they began, and only with a recording at Twilio")
    if options.per_minute is not None and report.requeued:
        minutes = -(-report.requeued // options.per_minute)
        lines.append(f"they become due within {minutes} minute(s), {options.per_minute} per minute")
    if report.failed_before:
        reasons = ", ".join(f"{name} {count}" for name, count in sorted(report.failed_before.items()))
        lines.append(f"some of these could not be judged again the last time, and kept their verdict: {reasons}")
    if report.deleted:
        lines.append(f"{report.deleted} recording(s) skipped: deleted at Twilio; their calls keep their verdict")
    if report.streams:
        lines.append(f"{report.streams} live stream(s) skipped: their audio is not stored; their verdict stays")
    return lines
