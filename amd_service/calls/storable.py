"""What Postgres can hold."""

# The largest that an integer column holds.
LARGEST_INTEGER = 2**31 - 1


def storable(text: str) -> str:
    """The text with U+FFFD for what Postgres refuses, NUL and lone surrogates.

    A signed callback or an error's text may hold either, and must not become a failed transaction.
    """
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
