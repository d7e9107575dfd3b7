"""Validators of texts, whose refusals are sentences: the setting's name is put before them."""

import re

from pydantic import AfterValidator


def one_of(*words: str) -> AfterValidator:
    """One of these words, in small or capital letters."""
    known = f"{', '.join(words[:-1])} or {words[-1]}"

    def check(value: str) -> str:
        if value.lower() not in words:
            raise ValueError(f"must be {known}")
        return value.lower()

    return AfterValidator(check)


def like(pattern: str, *, example: str) -> AfterValidator:
    """A text of this pattern, which people learn from the example."""

    def check(value: str) -> str:
        if re.fullmatch(pattern, value) is None:
            raise ValueError(f"must look like {example}")
        return value

    return AfterValidator(check)
