"""Limits on the values that Postgres can store."""

# Maximum value of an integer column.
LARGEST_INTEGER = 2**31 - 1


def storable(text: str) -> str:
    """Replace NUL and lone surrogates, which Postgres refuses, by U+FFFD.

    Signed callbacks and error messages can contain these characters. They must not make the transaction fail.
    """
    text = text.replace("\0", "\ufffd")
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
