"""Reconciliation by hand: asks Twilio for what its callbacks left out, and says what that brought."""

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from amd_service.errors import ConfigurationError
from amd_service.operations.reconcile import Reconciliation, SweepReport
from amd_service.runtime import open_database
from amd_service.settings import Settings
from amd_service.telemetry import Metrics
from amd_service.twilio.recordings import http_client
from amd_service.twilio.rest import RestClient

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


async def print_catch_up(settings: Settings, since: str, *, as_json: bool) -> bool:
    """Ask about everything of the last `since` (90m, 24h, 7d) and print a line an account; whether all could be asked.

    What turns out to have a recording is put up for work, so a worker must run to judge it. Raises ConfigurationError
    for a time that is none, and where no account is configured.
    """
    moment = datetime.now(UTC) - duration(since)
    if not settings.accounts:
        raise ConfigurationError("there is nobody to ask about: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN")
    async with open_database(settings) as database, http_client(settings) as client:
        metrics = Metrics()
        rest = RestClient(client, settings, per_s=settings.reconcile_per_s, retry_rate_limits=True, metrics=metrics)
        reconciliation = Reconciliation(database=database, rest=rest, settings=settings, metrics=metrics)
        found = await reconciliation.by_hand(moment)
    for findings in found:
        print(json.dumps(asdict(findings)) if as_json else _line(findings))  # noqa: T201 - the command's output
    return all(findings.error is None and not findings.calls_failed for findings in found)


def duration(text: str) -> timedelta:
    """`90m`, `24h` or `7d`. Raises ConfigurationError for anything else."""
    match = re.fullmatch(r"([1-9][0-9]{0,3})([mhd])", text)
    if match is None:
        raise ConfigurationError(f"--since {text}: give 1 to 9999 minutes, hours or days, e.g. 90m, 24h or 7d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _line(findings: SweepReport) -> str:
    failed = f", {findings.calls_failed} NOT ANSWERED FOR" if findings.calls_failed else ""
    unknown = (
        f", {findings.calls_unknown} UNKNOWN TO TWILIO: check TWILIO_REGION and the account"
        if findings.calls_unknown
        else ""
    )
    error = f"; NOT ASKED TO THE END: {findings.error}" if findings.error else ""
    return (
        f"{findings.account_sid}: {findings.calls_asked} calls asked for, {findings.calls_new} new, "
        f"{findings.recordings_new} recordings new, {findings.calls_changed} rows changed{failed}{unknown}{error}"
    )
