"""Campaign and tags of a call, and the rules for their names."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlencode

# Names of the parameters in the query of a callback URL. A URL has one `tag` for each tag.
CAMPAIGN, TAG = "campaign", "tag"

# None of these characters needs percent-encoding. So every program writes the same URL, and Twilio's signature of the
# URL does not depend on the encoding.
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
NAME_RULE = "must have 1 to 64 letters (A-Z, a-z), digits, `.`, `_` or `-`, and begin with a letter or digit"
MAX_TAGS = 10

_NAME = re.compile(NAME)


def is_name(text: str) -> bool:
    """Return whether the text can be the name of a campaign, or a tag."""
    return _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Tagging:
    """Campaign and tags of a call. `tags`: sorted, without duplicates, at most MAX_TAGS."""

    campaign: str | None = None
    tags: tuple[str, ...] = ()

    @classmethod
    def of(cls, campaign: str | None, tags: Iterable[str]) -> Self:
        """Sort the tags, and keep the first MAX_TAGS in alphabetical order."""
        return cls(campaign, tuple(sorted(set(tags))[:MAX_TAGS]))

    @property
    def is_empty(self) -> bool:
        return self.campaign is None and not self.tags

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Parameters of a callback URL, in alphabetical order.

        There are reports that Twilio sorts the query of the request but signs the unsorted query. In a sorted query
        both are equal. Source: https://github.com/twilio/twilio-php/issues/790
        """
        campaign = () if self.campaign is None else ((CAMPAIGN, self.campaign),)
        return (*campaign, *((TAG, tag) for tag in self.tags))

    def add_to(self, url: str) -> str:
        """Return a URL without a query with these parameters as its query. The fragment stays.

        The longest query has 763 characters, so the URL stays short enough for Twilio and for proxies.
        """
        if self.is_empty:
            return url
        base, mark, fragment = url.partition("#")
        return f"{base}?{urlencode(self.pairs)}{mark}{fragment}"


UNTAGGED = Tagging()


def read_tagging(parameters: Iterable[tuple[str, str]]) -> tuple[Tagging, tuple[str, ...]]:
    """Read campaign and tags from the parameters of a URL. Other parameters are skipped.

    Returns also the names of the parameters with a value that is ignored: an invalid name, a second campaign, or a tag
    beyond the first MAX_TAGS in alphabetical order. Blank values are like absent parameters.
    """
    given = [(name, value) for name, value in parameters if value and name in (CAMPAIGN, TAG)]
    campaigns = [value for name, value in given if name == CAMPAIGN and is_name(value)]
    tags = {value for name, value in given if name == TAG and is_name(value)}
    tagging = Tagging.of(campaigns[0] if campaigns else None, tags)
    used = set(tagging.pairs)
    return tagging, tuple(sorted({name for name, value in given if (name, value) not in used}))
