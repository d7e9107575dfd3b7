"""Merging campaigns and tags of the callbacks of a call."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amd_service.calls.call_tagging import merge_taggings
from amd_service.database.pool import Database
from amd_service.domain import MAX_TAGS, Tagging
from tests.support.deliveries import Tagged, amd, call_row, deliver, recording, status
from tests.support.intake import COMPLETED, RECORDED, RINGING
from tests.support.sids import OTHER_ACCOUNT

pytestmark = pytest.mark.anyio

ROUTES = ("rest", "status", "recording", "amd", "stream")
NAMES = st.sampled_from("abcdefghijklmnop")
STORED = st.lists(
    st.tuples(st.sampled_from(ROUTES), st.builds(Tagging.of, st.none() | NAMES, st.lists(NAMES, max_size=4)))
)


@given(stored=STORED, data=st.data())
def test_the_order_and_repetitions_of_callbacks_do_not_matter(
    stored: list[tuple[str, Tagging]], data: st.DataObject
) -> None:
    repeated = data.draw(st.lists(st.sampled_from(stored))) if stored else []
    assert merge_taggings(data.draw(st.permutations([*stored, *repeated]))) == merge_taggings(stored)


@given(stored=STORED)
def test_a_campaign_is_kept_once_a_callback_has_named_one(stored: list[tuple[str, Tagging]]) -> None:
    merged = merge_taggings(stored)
    assert (merged.campaign is None) == all(tagging.campaign is None for _, tagging in stored)
    assert len(merged.tags) <= MAX_TAGS
    assert set(merged.tags) <= {tag for _, tagging in stored for tag in tagging.tags}


@pytest.mark.parametrize("routes", list(itertools.pairwise(ROUTES)), ids=str)
def test_the_call_request_decides_then_the_status_callback_then_the_others(routes: Sequence[str]) -> None:
    first, second = routes
    stored = [(second, Tagging("a")), (first, Tagging("c")), (first, Tagging("b"))]
    assert merge_taggings(stored).campaign == "b"


async def test_campaign_and_tags_of_the_callback_urls_are_columns_of_the_call(database: Database) -> None:
    await deliver(database, Tagged(RINGING, Tagging("spring", ("vip",))))
    call = await call_row(database)
    assert (call.campaign, call.tags) == ("spring", ["vip"])


async def test_a_callback_without_campaign_blanks_nothing(database: Database) -> None:
    await deliver(database, Tagged(RINGING, Tagging("spring", ("vip",))), COMPLETED, RECORDED, amd("human"))
    call = await call_row(database)
    assert (call.campaign, call.tags) == ("spring", ["vip"])


async def test_the_tags_of_all_callbacks_are_collected(database: Database) -> None:
    await deliver(
        database,
        Tagged(RECORDED, Tagging(None, ("recorded",))),
        Tagged(amd("human"), Tagging(None, ("amd",))),
        Tagged(COMPLETED, Tagging("spring", ("vip",))),
    )
    call = await call_row(database)
    assert (call.campaign, call.tags) == ("spring", ["amd", "recorded", "vip"])


async def test_the_same_form_at_another_url_is_another_callback(database: Database) -> None:
    tagged = Tagged(RINGING, Tagging("spring"))
    assert await deliver(database, RINGING, tagged, tagged, RINGING) == [True, True, False, False]
    assert (await call_row(database)).campaign == "spring"


async def test_different_campaigns_of_one_call_are_logged(
    database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    await deliver(database, Tagged(RINGING, Tagging("spring")), Tagged(RECORDED, Tagging("autumn")))
    assert (await call_row(database)).campaign == "spring"
    (line,) = [line for line in "".join(capfd.readouterr()).splitlines() if "campaigns of one call differ" in line]
    assert "spring" in line
    assert "autumn" in line


async def test_another_account_cannot_change_the_campaign_of_a_call(database: Database) -> None:
    foreign = Tagged(status("completed", account_sid=OTHER_ACCOUNT), Tagging("theirs", ("theirs",)))
    await deliver(database, Tagged(RINGING, Tagging("spring")), foreign)
    await deliver(database, Tagged(recording("completed", account_sid=OTHER_ACCOUNT), Tagging("theirs")))
    call = await call_row(database)
    assert (call.campaign, call.tags) == ("spring", [])
