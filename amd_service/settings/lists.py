"""Settings that hold several values, separated by commas."""

from typing import Annotated

from pydantic import SecretStr
from pydantic_settings import NoDecode

SecretList = Annotated[list[SecretStr], NoDecode]
TextList = Annotated[list[str], NoDecode]
ChannelMap = Annotated[dict[str, int], NoDecode]


def split(value: object) -> object:
    """The parts of a text, blanks left out; anything else as it is."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def split_pairs(value: object) -> object:
    """The pairs of a text like `a=1,b=2`; anything else as it is. Raises ValueError for a part without `=`."""
    if not isinstance(value, str):
        return value
    parts = [part.partition("=") for part in value.split(",") if part.strip()]
    if not all(name.strip() and sign for name, sign, _ in parts):
        raise ValueError("must be pairs like OutboundAPI=1,DialVerb=2")
    return {name.strip(): number.strip() for name, _, number in parts}
