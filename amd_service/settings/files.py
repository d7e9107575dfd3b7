"""Reads the text files that contain settings."""

from pathlib import Path

# The first bytes of a file in UTF-16. Some editors and PowerShell's `>` write this encoding.
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def read_utf8(path: Path) -> str:
    """Read a UTF-8 file, without a byte order mark. Raises ValueError with a cure if the file cannot be read."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist: correct the path") from error
    except IsADirectoryError as error:
        raise ValueError(f"{path} is a directory: rename the directory, or remove it") from error
    except PermissionError as error:
        raise ValueError(f"{path} cannot be read by this account: run `chmod`, or start as its owner") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if data.startswith(_UTF_16):
        raise ValueError(f"{path} is in UTF-16: save the file in UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path} line {line} is not in UTF-8: save the file in UTF-8") from error
