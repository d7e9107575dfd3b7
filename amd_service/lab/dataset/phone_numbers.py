"""Finds phone numbers in names and texts, so that none gets into a dataset."""

import re
from collections.abc import Iterable

from amd_service.errors import DatasetUnusable

# Texts that contain many digits and are not phone numbers: SIDs and hashes, then dates and times.
_HASH = re.compile(r"(?<![0-9a-zA-Z])(?:[A-Z]{2})?[0-9a-f]{16,}(?![0-9a-zA-Z])")
_DATE = re.compile(
    r"(?<!\d)(?<!\+)(?:19|20)\d\d(?:-[01]\d-[0-3]\d(?:[T_ -]?[0-2]\d[:.-]?[0-5]\d(?:[:.-]?[0-5]\d(?:\.\d+)?)?)?"
    r"|[01]\d[0-3]\d(?:[T_-]?[0-2]\d[0-5]\d[0-5]\d)?)(?!\d)"
)
# E.164 with its plus sign, or ten to fifteen digits. The digits can be separated, as in (500) 555-0006.
_NUMBER = re.compile(
    r"(?:\+|%2B|(?<!\d)00)[1-9](?:[\s().\-_/]{0,2}\d){6,14}|(?<!\d)\d(?:[\s().\-_/]{0,2}\d){9,14}(?!\d)"
)


def has_phone_number(text: str) -> bool:
    """Return whether a text contains a phone number, or digits that look like one."""
    return _NUMBER.search(_DATE.sub(" ", _HASH.sub(" ", text))) is not None


def raise_if_phone_number(texts: Iterable[str], where: str) -> None:
    """Raise DatasetUnusable if one of the texts contains a phone number. The message repeats no number."""
    found = sum(map(has_phone_number, texts))
    if found:
        raise DatasetUnusable(
            f"{where} contains {found} values that look like phone numbers. A dataset must contain none: remove them, "
            "rename the files, or replace each number by a code such as caller-17"
        )
