"""Checks the options of `amd-service requeue`, runs the command and prints the result."""

from dataclasses import dataclass
from datetime import UTC, datetime

from amd_service.calls.judged_again import Period
from amd_service.cli.times import parse_time
from amd_service.database.opening import open_database
from amd_service.domain import Failure
from amd_service.errors import ConfigurationError
from amd_service.operations.requeue import RequeueReport, count_recordings, requeue_judged, requeue_recordings
from amd_service.settings import Settings


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Requeue recordings that ended without a verdict; with `failure`, only those with this reason."""

    failure: Failure | None


def parse_options(
    *, reason: str | None = None, judged: bool = False, since: str | None = None, until: str | None = None
) -> GivenUp | Period:
    """Return which recordings to requeue. Raises ConfigurationError if the options do not fit together."""
    if not judged:
        for option, value in (("--since", since), ("--until", until)):
            if value is not None:
                raise ConfigurationError(f"{option} needs --judged: only calls that have a verdict are chosen by time")
        return GivenUp(_parse_reason(reason))
    if reason is not None:
        raise ConfigurationError("--reason and --judged exclude each other: a recording with a verdict has no reason")
    if since is None:
        raise ConfigurationError("--judged needs --since TIME, e.g. --since 2026-11-20 or --since 7d")
    now = datetime.now(UTC)
    period = Period(
        parse_time(since, "--since", now=now), now if until is None else parse_time(until, "--until", now=now)
    )
    if period.since >= period.until:
        raise ConfigurationError(
            f"--since {since} must be before {'now' if until is None else f'--until {until}'}: no call can match"
        )
    return period


def _parse_reason(reason: str | None) -> Failure | None:
    try:
        return None if reason is None else Failure(reason)
    except ValueError as error:
        raise ConfigurationError(f"--reason must be one of {', '.join(Failure)}") from error


async def requeue_and_print(settings: Settings, options: GivenUp | Period, *, dry_run: bool) -> None:
    """Requeue the recordings, or only count them, and print the result."""
    done = "would be requeued" if dry_run else "requeued"
    async with open_database(settings) as database:
        if isinstance(options, Period):
            report = await requeue_judged(database, options, dry_run=dry_run)
            print("\n".join(_report_lines(report, done)))  # noqa: T201 - the command's output
            return
        work = count_recordings if dry_run else requeue_recordings
        print(f"{await work(database, options.failure)} recording(s) {done}")  # noqa: T201 - the command's output


def _report_lines(report: RequeueReport, done: str) -> list[str]:
    lines = [f"{report.requeued} recording(s) of {report.calls} call(s) {done}, to be judged after all new recordings"]
    if report.failed_before:
        reasons = ", ".join(f"{name} {count}" for name, count in sorted(report.failed_before.items()))
        lines.append(f"some of these could not be judged again the last time, and kept their verdict: {reasons}")
    if report.deleted:
        lines.append(f"{report.deleted} recording(s) skipped: deleted at Twilio; their calls keep their verdict")
    if report.streams:
        lines.append(f"{report.streams} live stream(s) skipped: their audio is not stored; their verdict stays")
    return lines
