"""Settings that hold several values, separated by commas."""

from typing import Annotated

from pydantic import SecretStr
from pydantic_settings import NoDecode

SecretList = Annotated[list[SecretStr], NoDecode]
TextList = Annotated[list[str], NoDecode]


def split(value: object) -> object:
    """The parts of a text, blanks left out; anything else as it is."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
