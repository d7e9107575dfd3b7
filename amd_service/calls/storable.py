"""Limits of what Postgres can store."""

# The largest value of an integer column.
LARGEST_INTEGER = 2**31 - 1


def storable(text: str) -> str:
    """The text with U+FFFD in place of NUL and lone surrogates, which Postgres refuses.

    A signed callback or an error message can contain either, and must not fail the transaction.
    """
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
