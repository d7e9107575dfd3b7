"""Checks the shape of the package: `python -m tools.check_structure`. Exits 1 and lists each finding.

The limits are those of well-read projects of this kind: short functions, short files, names that are found at once.
"""

import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

PACKAGE = Path(__file__).parents[1] / "amd_service"

MEDIAN_LINES = 10
P90_LINES = 30
FILE_LINES = 300
# A private function this short that is called once is read faster in place.
SHORT_LINES = 4
SHORT_PRIVATE_FUNCTIONS = 5

# Folders among which a file's name must be unique: nobody should open the wrong one of two.
SIBLING_ROOMS: Sequence[frozenset[str]] = (
    frozenset({"web", "simulator", "lab"}),
    frozenset({"worker", "operations", "detection", "twilio", "calls", "database"}),
    frozenset({"cli"}),
    frozenset({"settings"}),
)
# Names that a folder's purpose gives to its files: an engine is named for its library, a doctor's check and a command
# for what they are about.
MIRRORING_FOLDERS = frozenset({"engines", "doctor"})


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the package. `lines`: from `def` to its end, without decorators and docstring."""

    path: Path
    name: str
    lines: int
    has_return_type: bool


def main() -> int:
    """Print the figures and the findings; 1 when there are any findings."""
    sources = {path: path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
    trees = {path: ast.parse(text) for path, text in sources.items()}
    functions = [function for path, tree in trees.items() for function in _functions(path, tree)]
    lengths = [function.lines for function in functions]
    middle, p90 = median(lengths), quantiles(lengths, n=10)[-1]
    short = _short_private_functions(functions, trees)
    findings = [
        *_beyond("median function", middle, MEDIAN_LINES),
        *_beyond("90th percentile of functions", p90, P90_LINES),
        *(f"{path}: {text.count(chr(10))} lines" for path, text in sources.items() if text.count("\n") > FILE_LINES),
        *(f"{item.path}: {item.name} has no return type" for item in functions if not item.has_return_type),
        *(short if len(short) > SHORT_PRIVATE_FUNCTIONS else ()),
        *_same_names(sources),
    ]
    print(
        f"{len(sources)} files, {len(functions)} functions: median {middle:g} lines, 90th percentile {p90:g}, "
        f"longest file {max(text.count(chr(10)) for text in sources.values())}, "
        f"{len(short)} short private functions called once"
    )
    for finding in findings:
        print(finding.replace(f"{PACKAGE.parent}/", ""))
    return 1 if findings else 0


def _functions(path: Path, tree: ast.Module) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            first = node.body[0]
            if ast.get_docstring(node) is not None and len(node.body) > 1:
                lines -= (first.end_lineno or first.lineno) - first.lineno + 1
            yield Function(path, node.name, lines, node.returns is not None)


def _short_private_functions(functions: Sequence[Function], trees: dict[Path, ast.Module]) -> list[str]:
    """Private functions of up to SHORT_LINES lines that their own file names once beside the definition."""
    findings = []
    for function in functions:
        if not function.name.startswith("_") or function.name.startswith("__") or function.lines > SHORT_LINES:
            continue
        uses = Counter(_names(trees[function.path]))[function.name]
        if uses == 1:
            findings.append(f"{function.path}: {function.name} has {function.lines} lines and is used once")
    return findings


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def _same_names(sources: dict[Path, str]) -> list[str]:
    by_group: defaultdict[tuple[int, str], list[Path]] = defaultdict(list)
    for path in sources:
        parts = path.relative_to(PACKAGE).parts
        if path.stem.startswith("__") or len(parts) == 1 or MIRRORING_FOLDERS & set(parts):
            continue
        group = next(index for index, rooms in enumerate(SIBLING_ROOMS) if parts[0] in rooms)
        by_group[group, path.stem].append(path)
    return [f"one name: {', '.join(map(str, paths))}" for paths in by_group.values() if len(paths) > 1]


def _beyond(what: str, value: float, limit: float) -> list[str]:
    return [f"{what}: {value:g} lines, at most {limit:g}"] if value > limit else []


if __name__ == "__main__":
    sys.exit(main())
