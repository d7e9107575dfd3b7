"""Runs `amd-service model compare` and prints the result."""

import asyncio
import json
from dataclasses import asdict
from datetime import UTC, datetime

from rich.console import Console

from amd_service.calls.review_sample import SamplingPlan
from amd_service.calls.shadow_comparison import CallPeriod, ChangedCall
from amd_service.calls.strata import LowConfidence
from amd_service.cli.access_commands import print_rows
from amd_service.cli.times import parse_period
from amd_service.database.opening import open_database
from amd_service.detection.stated_windows import find_policy
from amd_service.domain import Label
from amd_service.operations.compare_models import ModelComparison, compare_models
from amd_service.operations.review.error_rates import ErrorRate
from amd_service.settings import Settings


async def print_comparison(
    settings: Settings, since: str, until: str | None, model: str | None, limit: int, *, as_json: bool
) -> None:
    """Compare the shadow model with the verdicts on calls of a period, and print tables or one JSON document."""
    period = CallPeriod(*parse_period(since, until, now=datetime.now(UTC)))
    policy = await asyncio.to_thread(find_policy, settings)
    low = LowConfidence.above(human=policy.min_confidence_human, voicemail=policy.min_confidence_voicemail)
    plan = SamplingPlan.from_settings(settings, low)
    status = Console(stderr=True, quiet=as_json).status("comparing verdicts")
    with status:
        async with open_database(settings) as database:
            found = await compare_models(database, period, plan, model=model or settings.shadow_model, limit=limit)
    url = (settings.public_url or "").rstrip("/")
    if as_json:
        print(json.dumps(_document(found, url), ensure_ascii=False))  # noqa: T201 - the command's output
        return
    share = found.agreeing / found.calls if found.calls else 1.0
    print(  # noqa: T201
        f"{found.model.id} (weights {found.model.weights_sha256[:12]}) judged {found.calls} calls that began "
        f"{period}. {found.calls - found.agreeing} labels would change; {share:.1%} stay.\n"
    )
    print_rows(_labels(found), as_json=False, empty="")
    print()  # noqa: T201
    print_rows(_rates(found), as_json=False, empty="")
    print(f"\n{_test(found)}")  # noqa: T201
    if found.changed:
        print("\nCalls whose label would change. To review one, open its page:")  # noqa: T201
        print_rows([_row(each, url) for each in found.changed], as_json=False, empty="")


def _labels(found: ModelComparison) -> list[dict[str, str]]:
    return [
        {"present_label": present, **{f"now {shadow}": str(found.labels[present, shadow]) for shadow in Label}}
        for present in Label
    ]


def _rates(found: ModelComparison) -> list[dict[str, str]]:
    models = {"present model": found.present, "shadow model": found.shadow}
    return [
        {
            "estimated_from_reviews": name,
            "humans called voicemail": _rate(rates.humans_called_voicemail),
            "voicemails called human": _rate(rates.voicemails_called_human),
        }
        for name, rates in models.items()
    ]


def _rate(rate: ErrorRate) -> str:
    if rate.rate is None:
        return "no reviews"
    return f"{rate.rate:.1%} ({rate.low:.1%} to {rate.high:.1%}, {rate.reviews} reviews)"


def _test(found: ModelComparison) -> str:
    if not found.reviewed:
        return "No reviewed calls, so nothing shows which model is right more often."
    return (
        f"Of {found.reviewed} reviewed calls, only the present model is right on {found.only_present_right}, and only "
        f"the shadow model on {found.only_shadow_right} (exact McNemar test: p = {found.p_value:.3g})."
    )


def _row(changed: ChangedCall, url: str) -> dict[str, str]:
    return {
        "present": changed.present,
        "shadow": changed.shadow,
        "confidence": f"{changed.confidence:.3f}",
        "review": changed.answer or "",
        "page": f"{url}/calls/{changed.call_sid}",
    }


def _document(found: ModelComparison, url: str) -> dict[str, object]:
    return {
        "model": {"id": found.model.id, "weights_sha256": found.model.weights_sha256},
        "since": found.period.since.isoformat(),
        "until": found.period.until and found.period.until.isoformat(),
        "calls": found.calls,
        "agreeing": found.agreeing,
        "labels": {present: {shadow: found.labels[present, shadow] for shadow in Label} for present in Label},
        "reviewed": found.reviewed,
        "only_present_right": found.only_present_right,
        "only_shadow_right": found.only_shadow_right,
        "p_value": found.p_value,
        "error_rates": {"present": asdict(found.present), "shadow": asdict(found.shadow)},
        "changed": [asdict(each) | {"page": f"{url}/calls/{each.call_sid}"} for each in found.changed],
    }
