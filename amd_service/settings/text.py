"""Checks the characters of a setting's value.

Values are often copied from web pages, chat programs and files of other systems. Such a copy can contain quotation
marks, line breaks or invisible characters. Twilio would refuse a credential with such a character, and a URL would be
broken, without a message that names the character.
"""

import re
import unicodedata

_QUOTES = "\"'`´“”„‟‘’‚‛«»"
_NAMES = {" ": "a space", "\n": "a line break", "\r": "a line break", "\t": "a tab", "\u00a0": "a non-breaking space"}
# Unicode categories: Z… are spaces, Cc control characters, Cf invisible format characters (for example the byte order
# mark and the zero-width space), Cs bytes that are not UTF-8.
_BLANK = ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")
_PLACEHOLDER = re.compile(
    r"(change|replace)[-_ ]?(me|it|this).*|your[-_ ].*|my[-_ ](.*[-_ ])?(token|key|secret|sid)|"
    r"<.*>|\[.*\]|\$?\{.*\}|(?-i:\$[A-Z_]+)|"
    r"(AC|SK)(x+|…|\.{3,})|x{4,}|…|\.{3,}|\*+|placeholder|todo|"
    r"(auth|api|account)[-_ ](token|key|secret|sid)|openssl rand.*",
    re.IGNORECASE,
)


def trim(text: str) -> str:
    """Remove white space and invisible characters from both ends."""
    kept = [index for index, character in enumerate(text) if not _is_blank(character)]
    return text[kept[0] : kept[-1] + 1] if kept else ""


def check_plain(text: str) -> str:
    """Raise ValueError if the text is in quotation marks or contains a control character."""
    if text and text[0] in _QUOTES and text[-1] in _QUOTES:
        raise ValueError("must not be in quotation marks: remove the quotation marks")
    for character in text:
        if unicodedata.category(character) == "Cc":
            raise ValueError(f"must not contain {_name(character)}")
    return text


def check_one_word(text: str) -> str:
    """Raise ValueError if the text contains white space or an invisible character, or has a quotation mark at an end.

    For URLs, SIDs, keys and secrets.
    """
    if text and (text[0] in _QUOTES or text[-1] in _QUOTES):
        raise ValueError("must not be in quotation marks: remove the quotation marks")
    for character in text:
        if _is_blank(character):
            raise ValueError(f"must not contain {_name(character)}")
    return text


def check_credential(text: str) -> str:
    """Raise ValueError if the text is blank, is not one word, or is a placeholder such as `your_auth_token`."""
    if not text:
        raise ValueError("must not be blank: a blank secret is easy to guess")
    if _PLACEHOLDER.fullmatch(text):
        raise ValueError("must be the real value: the present value is a placeholder")
    return check_one_word(text)


def shown(value: object) -> str:
    """Return a value for an error message: without the password and the query of a URL, invisible characters escaped.

    Long values are cut after 100 characters.
    """
    text = re.sub(r"(?<=://)[^/?#]*@", "…@", str(value))
    text = re.sub(r"(?<=\?).+", "…", text) if "://" in text else text
    text = repr(text)[1:-1]
    return text if len(text) <= 100 else f"{text[:100]}…"


def _is_blank(character: str) -> bool:
    return unicodedata.category(character) in _BLANK


def _name(character: str) -> str:
    known = _NAMES.get(character)
    name = unicodedata.name(character, "control character")
    return known or f"the invisible character U+{ord(character):04X} ({name})"
