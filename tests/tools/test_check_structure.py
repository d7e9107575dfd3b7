"""The check of the structure reports each exceeded limit."""

from pathlib import Path

import pytest

from tools.check_structure import FILE_LINES, SHORT_PRIVATE_FUNCTIONS, examine

FUNCTION = "def add(left: int, right: int) -> int:\n    return left + right\n"


def write(package: Path, **files: str) -> Path:
    """Write files into `package`. The name `calls__queue` creates `calls/queue.py`."""
    for name, text in ({"calls__sums": FUNCTION * 3} | files).items():
        path = package / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return package


def test_a_package_within_the_limits_has_no_findings(tmp_path: Path) -> None:
    report = examine(write(tmp_path, calls__queue=FUNCTION))
    assert report.findings == []
    assert report.summary.startswith("2 files, 4 functions: median 2 lines")


@pytest.mark.parametrize(
    ("files", "finding"),
    [
        ({"calls__queue": "#\n" * (FILE_LINES + 1)}, f"calls/queue.py: {FILE_LINES + 1} lines, at most {FILE_LINES}"),
        ({"calls__queue": "def add(left, right):\n    return left\n"}, "calls/queue.py: add has no return type"),
        (
            {"calls__queue": FUNCTION, "worker__loops__queue": FUNCTION},
            "files of one name: calls/queue.py, worker/loops/queue.py",
        ),
        (
            {"calls__queue": "def long() -> None:\n" + "    pass\n" * 40},
            "90th percentile of functions: 60.5 lines, at most 30",
        ),
    ],
)
def test_each_limit_is_checked(tmp_path: Path, files: dict[str, str], finding: str) -> None:
    assert finding in examine(write(tmp_path, **files)).findings


def test_short_private_functions_called_once_are_reported_above_the_limit(tmp_path: Path) -> None:
    def source(count: int) -> str:
        names = [f"_part_{number}" for number in range(count)]
        parts = "".join(f"def {name}() -> int:\n    return 1\n" for name in names)
        return parts + "TOTAL = " + " + ".join(f"{name}()" for name in names) + "\n"

    assert examine(write(tmp_path, calls__queue=source(SHORT_PRIVATE_FUNCTIONS))).findings == []
    findings = examine(write(tmp_path, calls__queue=source(SHORT_PRIVATE_FUNCTIONS + 1))).findings
    assert findings[0] == "calls/queue.py: _part_0 has 2 lines and is used once"
    assert len(findings) == SHORT_PRIVATE_FUNCTIONS + 1


def test_a_private_function_that_is_called_twice_may_be_short(tmp_path: Path) -> None:
    source = "".join(f"def _part_{n}() -> int:\n    return 1\nA{n} = _part_{n}() + _part_{n}()\n" for n in range(9))
    assert examine(write(tmp_path, calls__queue=source)).findings == []
