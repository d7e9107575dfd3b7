"""Checks the libraries of the extra `train`, which some commands need."""

from importlib.util import find_spec

from amd_service.errors import ConfigurationError

# Libraries of each command. Importing them takes seconds, so they are only looked for.
TRAIN = ("accelerate", "librosa", "peft", "scipy", "sklearn")
EVALUATE = ("matplotlib", "scipy", "sklearn")


def raise_if_extra_missing(command: str, libraries: tuple[str, ...]) -> None:
    """Raise ConfigurationError with the install command if a library is missing."""
    missing = [name for name in libraries if find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"`amd-service {command}` needs {', '.join(missing)}: pip install 'amd-service[train]'"
        )
