"""`constraints.txt` pins what `pyproject.toml` asks for."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def asked_for() -> list[Requirement]:
    """Every requirement of the package, its extras and the dependency groups."""
    lists = [
        PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"].values(),
        *PROJECT["dependency-groups"].values(),
    ]
    needs = [Requirement(need) for needs in lists for need in needs if isinstance(need, str)]
    return [need for need in needs if need.name != PROJECT["project"]["name"]]


@pytest.mark.parametrize("need", asked_for(), ids=str)
def test_a_requirement_is_pinned_within_its_bounds(need: Requirement) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [pin for pin in map(Requirement, lines) if canonicalize_name(pin.name) == canonicalize_name(need.name)]
    assert pins, f"run `make lock`: {need.name} is not in constraints.txt"
    for pin in pins:
        (version,) = [specifier.version for specifier in pin.specifier]
        assert need.specifier.contains(version), f"run `make lock`: {pin} does not satisfy {need}"


def test_the_extra_all_holds_every_other_extra() -> None:
    extras = set(PROJECT["project"]["optional-dependencies"]) - {"all"}
    (every,) = PROJECT["project"]["optional-dependencies"]["all"]
    assert Requirement(every).extras == extras
