"""Merges campaign and tags of all callbacks of a call onto the call's row."""

from collections.abc import Iterable
from typing import Any

from amd_service.calls.tables import CallLog
from amd_service.domain import REST_ROUTE, STREAM_ROUTE, Tagging
from amd_service.telemetry import get_logger

log = get_logger(__name__)

# Routes of callbacks. If the callbacks of a call name different campaigns, the first route in this list decides. The
# request that placed the call is stored with the route `rest`.
ROUTES = (REST_ROUTE, "status", "recording", "amd", STREAM_ROUTE)


def tagging_to_json(tagging: Tagging) -> dict[str, Any]:
    """Return campaign and tags as keys of `callback.facts`, without absent values."""
    campaign = {} if tagging.campaign is None else {"campaign": tagging.campaign}
    return campaign | ({"tags": list(tagging.tags)} if tagging.tags else {})


def tagging_from_json(facts: dict[str, Any]) -> Tagging:
    """Convert the facts of a callback to its campaign and tags."""
    return Tagging.of(facts.get("campaign"), facts.get("tags", ()))


def merge_taggings(stored: Iterable[tuple[str, Tagging]]) -> Tagging:
    """Merge campaigns and tags of the callbacks of a call, given with their routes.

    The result depends on the set of callbacks and never on their order of arrival, and a callback without campaign and
    tags changes nothing. The campaign is that of the first route in `ROUTES`; among several campaigns of one
    route, the first in alphabetical order. The tags are the tags of all callbacks.
    """
    taggings = list(stored)
    campaigns = [(ROUTES.index(route), tagging.campaign) for route, tagging in taggings if tagging.campaign is not None]
    _, campaign = min(campaigns, default=(0, None))
    return Tagging.of(campaign, (tag for _, tagging in taggings for tag in tagging.tags))


def apply_tagging(call: CallLog, stored: Iterable[tuple[str, Tagging]], received: Iterable[Tagging]) -> None:
    """Write campaign and tags onto the locked row of a call.

    `stored`: of all callbacks of the call, with their routes. `received`: of the new callbacks among them.
    """
    merged = merge_taggings(stored)
    for campaign in {tagging.campaign for tagging in received} - {None, merged.campaign}:
        log.warning("campaigns of one call differ", call_sid=call.call_sid, used=merged.campaign, other=campaign)
    call.campaign, call.tags = merged.campaign, list(merged.tags)
