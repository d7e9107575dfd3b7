"""Help texts of commands without the type `<bool>` behind flags, which take no value."""

from collections.abc import Iterable
from typing import Any

from typer.core import TyperCommand, TyperGroup


class PlainCommand(TyperCommand):
    """A command whose flags have no type in the help text."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters of the command, for the parser and for the help text."""
        return without_flag_types(super().get_params(ctx))


class PlainGroup(TyperGroup):
    """A group of commands whose flags have no type in the help text."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters of the group, for the parser and for the help text."""
        return without_flag_types(super().get_params(ctx))


def without_flag_types(params: Iterable[Any]) -> list[Any]:
    """Replace the type of each flag by an empty text."""
    found = list(params)
    for param in found:
        if getattr(param, "is_flag", False):
            param.metavar = ""
    return found
