"""Reconciles every account once and prints a report per account."""

import asyncio
import json
from dataclasses import asdict
from datetime import UTC, datetime

from amd_service.cli.times import parse_duration
from amd_service.errors import ConfigurationError
from amd_service.operations.reconcile import SweepReport
from amd_service.runtime import open_reconciliation
from amd_service.settings import Settings
from amd_service.twilio.rest import Sleep


async def reconcile_and_print(settings: Settings, since: str, *, as_json: bool, sleep: Sleep = asyncio.sleep) -> bool:
    """Reconcile the calls of the last `since` (90m, 24h, 7d) with Twilio and print a line per account.

    New recordings are enqueued, and a running worker judges them. Returns False if a request failed. Raises
    ConfigurationError if `since` is invalid or no account is configured.
    """
    start = datetime.now(UTC) - parse_duration(since)
    if not settings.accounts:
        raise ConfigurationError("no account is configured: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN")
    async with open_reconciliation(settings, sleep=sleep) as reconciliation:
        reports = await reconciliation.sweep_since(start)
    for report in reports:
        print(json.dumps(asdict(report)) if as_json else _readable_line(report))  # noqa: T201 - the command's output
    return all(report.error is None and not report.calls_failed for report in reports)


def _readable_line(report: SweepReport) -> str:
    line = (
        f"{report.account_sid}: {report.calls_asked} calls checked, {report.calls_new} new, "
        f"{report.recordings_new} new recordings, {report.calls_changed} rows changed"
    )
    if report.calls_failed:
        line += f", {report.calls_failed} FAILED: run the command again"
    if report.calls_unknown:
        line += f", {report.calls_unknown} UNKNOWN TO TWILIO: check TWILIO_REGION and the account"
    return f"{line}; ABORTED: {report.error}" if report.error else line
