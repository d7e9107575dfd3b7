"""Names of campaigns and tags, and their place in a URL."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amd_service.domain import MAX_TAGS, UNTAGGED, Tagging, is_name, read_tagging
from amd_service.twilio.callbacks import parse_tagging

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
TAGGINGS = st.builds(Tagging.of, st.none() | NAMES, st.lists(NAMES, max_size=15))


@pytest.mark.parametrize("name", ["a", "9", "Spring-2026", "list_b.v2", "x" * 64])
def test_letters_digits_dots_underscores_and_hyphens_are_a_name(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", " ", "-a", ".a", "=1+1", "a b", "a,b", "a&b", "a\n", "a\0", "<b>", "Frühling", "٣", "x" * 65]
)
def test_other_texts_are_no_name(name: str) -> None:
    assert not is_name(name)


@given(tagging=TAGGINGS)
def test_campaign_and_tags_of_a_url_are_those_that_were_added(tagging: Tagging) -> None:
    url = tagging.add_to("https://example.com/twilio/status#rc=3&rp=5xx")
    base, _, fragment = url.partition("#")
    assert fragment == "rc=3&rp=5xx"
    assert parse_tagging(base.partition("?")[2].encode()) == (tagging, ())
    assert base.startswith("https://example.com/twilio/status?") or tagging == UNTAGGED


@given(tagging=TAGGINGS)
def test_the_query_of_a_url_is_sorted_and_needs_no_percent_encoding(tagging: Tagging) -> None:
    query = tagging.add_to("https://example.com/").partition("?")[2]
    assert "%" not in query
    assert "+" not in query
    pairs = [tuple(pair.split("=")) for pair in query.split("&") if pair]
    assert pairs == sorted(pairs)


def test_the_longest_query_has_763_characters() -> None:
    longest = Tagging.of("c" * 64, (f"{number}" * 64 for number in range(MAX_TAGS)))
    assert len(longest.add_to("").partition("?")[2]) == 763


@pytest.mark.parametrize(
    ("query", "tagging", "ignored"),
    [
        (b"", UNTAGGED, ()),
        (b"campaign=&tag=", UNTAGGED, ()),
        (b"region=us1&campaign=spring", Tagging("spring"), ()),
        (b"tag=vip&tag=b&tag=vip", Tagging(None, ("b", "vip")), ()),
        (b"tag=%76ip", Tagging(None, ("vip",)), ()),
        (b"campaign=spring+sale&tag=vip", Tagging(None, ("vip",)), ("campaign",)),
        (b"campaign=spring&tag=%00", Tagging("spring"), ("tag",)),
        (b"campaign=%ff&campaign=spring", Tagging("spring"), ("campaign",)),
        (b"campaign=spring&campaign=autumn", Tagging("spring"), ("campaign",)),
        (b"campaign=\xff&tag=" + b"x" * 65, UNTAGGED, ("campaign", "tag")),
        (b"campaign=spring" + b"&x=1" * 1000, UNTAGGED, ("campaign", "tag")),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_invalid_values_are_ignored_and_reported(query: bytes, tagging: Tagging, ignored: tuple[str, ...]) -> None:
    assert parse_tagging(query) == (tagging, ignored)


def test_more_tags_than_allowed_are_ignored_and_reported() -> None:
    given = [("tag", f"t{number:02}") for number in reversed(range(MAX_TAGS + 2))]
    tagging, ignored = read_tagging(given)
    assert tagging.tags == tuple(f"t{number:02}" for number in range(MAX_TAGS))
    assert ignored == ("tag",)


@given(query=st.binary(max_size=60))
def test_no_query_raises(query: bytes) -> None:
    parse_tagging(query)
