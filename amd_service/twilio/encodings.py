"""Read form text that is not UTF-8.

Twilio sends UTF-8. But a field such as CallerName passes through many networks, and Twilio's documentation does not say
which text Twilio signs when such a field contains other bytes. So this module returns every plausible reading, and the
signature proves which of them was signed.
"""

from collections.abc import Callable, Iterator, Sequence

Form = tuple[tuple[str, str], ...]


def possible_readings(form: Sequence[tuple[str, str]]) -> Iterator[tuple[Form, Form]]:
    """Yield the forms that Twilio may have signed, each with its text for storage.

    `form`: from `callbacks.parse_form`. A form that is valid UTF-8 has one reading. The readings of another form differ
    only in the names and values that are not UTF-8. In the text for storage, U+FFFD replaces bytes that are not UTF-8.
    """
    if all(_is_utf8(name) and _is_utf8(value) for name, value in form):
        yield tuple(form), tuple(form)
        return
    yield tuple(form), _decode(form, _replace)  # the bytes as sent
    for read in (_replace, _join_surrogates, lambda sent: sent.decode("latin-1")):
        reading = _decode(form, read)
        yield reading, reading


def _is_utf8(text: str) -> bool:
    """Whether the text has no surrogate escape."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _decode(form: Sequence[tuple[str, str]], read: Callable[[bytes], str]) -> Form:
    """Decode every name and value that is not UTF-8."""

    def decode(text: str) -> str:
        return text if _is_utf8(text) else read(text.encode("utf-8", "surrogateescape"))

    return tuple((decode(name), decode(value)) for name, value in form)


def _replace(sent: bytes) -> str:
    return sent.decode("utf-8", "replace")


def _join_surrogates(sent: bytes) -> str:
    """Decode CESU-8, in which a character outside the basic plane is a pair of surrogates of three bytes each.

    Java's modified UTF-8 uses the same encoding for these characters (Unicode Technical Report 26).
    """
    try:
        return sent.decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    except UnicodeDecodeError:
        return _replace(sent)
