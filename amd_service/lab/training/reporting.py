"""Programs that record the losses of trainings, to compare them: trackio, TensorBoard and MLflow."""

from enum import StrEnum
from importlib.util import find_spec

from amd_service.errors import ConfigurationError


class Reporter(StrEnum):
    """A program to which transformers' Trainer reports. The value is the Trainer's name of it, and its package."""

    TRACKIO = "trackio"
    TENSORBOARD = "tensorboard"
    MLFLOW = "mlflow"


def raise_if_not_installed(reporter: Reporter | None) -> None:
    """Raise ConfigurationError with the install command if the package of the reporter is missing."""
    if reporter is not None and find_spec(reporter) is None:
        raise ConfigurationError(
            f"--report-to {reporter}: the package {reporter} is not installed. Run `pip install {reporter}`, or leave "
            "the option out"
        )
