"""Checks the size of functions and files and the names of files. Run `python -m tools.check_structure`.

Prints each finding. Exits 1 if there are findings. The limits are similar to the limits of other readable services.
"""

import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

PACKAGE = Path(__file__).parents[1] / "amd_service"

MEDIAN_LINES = 10
P90_LINES = 30
FILE_LINES = 300
# A private function with at most SHORT_LINES lines and one call is easier to read inline. The package may contain at
# most SHORT_PRIVATE_FUNCTIONS of these functions.
SHORT_LINES = 4
SHORT_PRIVATE_FUNCTIONS = 5

# Groups of folders. A file name must be unique within a group, so that a reader does not open the wrong file.
SIBLINGS: Sequence[frozenset[str]] = (
    frozenset({"web", "simulator", "lab"}),
    frozenset({"worker", "operations", "detection", "twilio", "calls", "database"}),
    frozenset({"cli"}),
    frozenset({"domain", "settings"}),
)
# Folders without this check: an engine has the name of its library, and a check has the name of the checked part.
NAMED_AFTER_OTHERS = frozenset({"engines", "doctor"})


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the package. `lines`: number of lines without decorators and docstring."""

    file: str
    name: str
    lines: int
    has_return_type: bool


@dataclass(frozen=True, slots=True)
class Report:
    """`summary`: one line with all measurements. `findings`: one line for each exceeded limit."""

    summary: str
    findings: list[str]


def main() -> int:
    """Print the report on the package. Returns 1 if there are findings, otherwise 0."""
    report = examine(PACKAGE)
    print(report.summary)
    for finding in report.findings:
        print(finding)
    return 1 if report.findings else 0


def examine(package: Path) -> Report:
    """Return the report on all Python files below `package`."""
    sources = {path.relative_to(package).as_posix(): path.read_text("utf-8") for path in sorted(package.rglob("*.py"))}
    trees = {file: ast.parse(text) for file, text in sources.items()}
    functions = [function for file, tree in trees.items() for function in functions_of(file, tree)]
    lengths = [function.lines for function in functions]
    middle, p90 = median(lengths), quantiles(lengths, n=10)[-1]
    long_files = {file: count for file, text in sources.items() if (count := text.count("\n")) > FILE_LINES}
    short = short_private_functions(functions, trees)
    findings = [f"{file}: {count} lines, at most {FILE_LINES}" for file, count in long_files.items()]
    findings += [f"{item.file}: {item.name} has no return type" for item in functions if not item.has_return_type]
    findings += same_names(list(sources))
    if middle > MEDIAN_LINES:
        findings.append(f"median function: {middle:g} lines, at most {MEDIAN_LINES}")
    if p90 > P90_LINES:
        findings.append(f"90th percentile of functions: {p90:g} lines, at most {P90_LINES}")
    if len(short) > SHORT_PRIVATE_FUNCTIONS:
        findings += short
    summary = (
        f"{len(sources)} files, {len(functions)} functions: median {middle:g} lines, 90th percentile {p90:g}; "
        f"{len(short)} short private functions called once"
    )
    return Report(summary, findings)


def functions_of(file: str, tree: ast.Module) -> Iterator[Function]:
    """Return every function and method of a file, including nested functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if ast.get_docstring(node) is not None and len(node.body) > 1:
                docstring = node.body[0]
                lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
            yield Function(file, node.name, lines, node.returns is not None)


def short_private_functions(functions: Sequence[Function], trees: Mapping[str, ast.Module]) -> list[str]:
    """Return private functions with at most SHORT_LINES lines whose file uses them only once."""
    uses = {file: Counter(_names(tree)) for file, tree in trees.items()}
    return [
        f"{function.file}: {function.name} has {function.lines} lines and is used once"
        for function in functions
        if function.name.startswith("_") and not function.name.startswith("__")
        if function.lines <= SHORT_LINES and uses[function.file][function.name] == 1
    ]


def same_names(files: Sequence[str]) -> list[str]:
    """Return files that have the same name and are in the same group of SIBLINGS."""
    groups: defaultdict[tuple[int, str], list[str]] = defaultdict(list)
    for file in files:
        *folders, name = file.split("/")
        if folders and not name.startswith("__") and not NAMED_AFTER_OTHERS & set(folders):
            group = next((number for number, rooms in enumerate(SIBLINGS) if folders[0] in rooms), len(SIBLINGS))
            groups[group, name].append(file)
    return [f"files of one name: {', '.join(files)}" for files in groups.values() if len(files) > 1]


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


if __name__ == "__main__":
    sys.exit(main())
