"""Rows of a `metadata.csv`, the table of labels in an AudioFolder."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from amd_service.errors import DatasetUnusable
from amd_service.lab.dataset.labelled_files import MOST_NAMES, LabelledFile
from amd_service.lab.synthesis.voices import Split

METADATA = "metadata.csv"
_FIELDS = ("file_name", "label", "group", "language", "split", "channel", "sha256")
# Names of split folders, with those that `datasets` also accepts.
SPLIT_NAMES: Mapping[str, Split] = {
    **dict.fromkeys(("train", "training"), Split.TRAIN),
    **dict.fromkeys(("validation", "valid", "val", "dev"), Split.VALIDATION),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), Split.TEST),
}


def read_rows(path: Path, required: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line number and the columns of each row of a CSV file with a header, without surrounding spaces.

    Raises DatasetUnusable: the file cannot be read, a required column is missing, or a row has too many fields.
    """
    try:
        # Excel begins a UTF-8 file with a byte order mark.
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            columns = [column.strip() for column in reader.fieldnames or ()]
            missing = [column for column in required if column not in columns]
            if missing:
                found = ", ".join(columns) or "nothing"
                cure = f"its first line must name the columns {', '.join(required)}, separated by commas"
                raise DatasetUnusable(f"{path} has no column {' and no column '.join(missing)} ({found}): {cure}")
            for row in reader:
                if None in row:
                    raise DatasetUnusable(f"{path}, line {reader.line_num}: too many fields; quote text with commas")
                yield reader.line_num, {name.strip(): (value or "").strip() for name, value in row.items()}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetUnusable(f"{path} cannot be read as CSV in UTF-8: {error}") from error


def read_metadata(path: Path, split: Split | None) -> list[LabelledFile]:
    """Read a `metadata.csv`. `split`: the split of its folder, None at the top of a dataset.

    Raises DatasetUnusable: a row is invalid, or its file does not exist.
    """
    files = [
        _file(path, line, row, split) for line, row in read_rows(path, ("file_name", "label")) if any(row.values())
    ]
    missing = [file.path.as_posix() for file in files if not file.path.is_file()]
    if missing:
        names = ", ".join(missing[:MOST_NAMES])
        raise DatasetUnusable(f"{path} names {len(missing)} files that do not exist ({names}): remove their rows")
    return files


def _file(path: Path, line: int, row: Mapping[str, str], split: Split | None) -> LabelledFile:
    name, where = Path(row["file_name"]), f"{path}, line {line}"
    if not name.parts or name.is_absolute() or ".." in name.parts:
        raise DatasetUnusable(f"{where}: file_name must be a path below the folder of {METADATA}, not {str(name)!r}")
    if not row["label"]:
        raise DatasetUnusable(f"{where}: the label is empty; write human, voicemail or another label")
    channel = row.get("channel") or None
    if channel not in (None, "1", "2"):
        raise DatasetUnusable(f"{where}: channel must be 1 or 2, not {channel!r}")
    return LabelledFile(
        path=path.parent / name,
        label=row["label"].casefold(),
        group=row.get("group") or None,
        language=row.get("language") or None,
        split=split or _split(row.get("split") or name.parts[0], where if row.get("split") else None),
        channel=int(channel) if channel else None,
        sha256=row.get("sha256") or None,
        columns={column: value for column, value in row.items() if column not in _FIELDS},
    )


def _split(name: str, where: str | None) -> Split | None:
    """Return the split with this name. `where`: raise DatasetUnusable for an unknown name. None: return None for it."""
    split = SPLIT_NAMES.get(name.casefold())
    if split is None and where is not None:
        raise DatasetUnusable(f"{where}: split must be {', '.join(Split)} or empty, not {name!r}")
    return split


def write_rows(out: TextIO, files: Sequence[LabelledFile], below: Path) -> None:
    """Write the rows of `files`, with names relative to `below`. A column that no file uses is left out.

    The column `split` is never written, because the folder says it.
    """
    rows = [
        {
            "file_name": file.path.relative_to(below).as_posix(),
            "label": file.label,
            "group": file.group or "",
            "language": file.language or "",
            "channel": str(file.channel or ""),
            "sha256": file.sha256 or "",
            **file.columns,
        }
        for file in files
    ]
    used = {column: None for row in rows for column, value in row.items() if value}
    writer = csv.DictWriter(out, used, extrasaction="ignore", restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
