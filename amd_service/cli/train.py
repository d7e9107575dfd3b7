"""`amd-service train`"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from amd_service.cli.process import load_settings_and_logging


class Device(StrEnum):
    """Processor for the training."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Precision(StrEnum):
    """Number format of the training."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"


class ReportTo(StrEnum):
    """Program that records the losses."""

    TRACKIO = "trackio"
    TENSORBOARD = "tensorboard"
    MLFLOW = "mlflow"


def train(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Dataset folder, from `amd-service dataset build`.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="New folder for the model.")],
    model: Annotated[
        str | None, typer.Option(metavar="ID_OR_FOLDER", help="Wav2Vec2 to start from. Default: AMD_MODEL.")
    ] = None,
    scratch: Annotated[
        Path | None, typer.Option(metavar="CONFIG", help="Start from random weights, with this config.json.")
    ] = None,
    new_head: Annotated[bool, typer.Option("--new-head", help="Replace the head of a model for other labels.")] = False,
    lora: Annotated[
        int | None, typer.Option(min=1, metavar="RANK", help="Train low-rank adapters, for large models. 16 is usual.")
    ] = None,
    train_encoder: Annotated[
        bool, typer.Option("--train-encoder", help="Also train the convolutions, which are frozen otherwise.")
    ] = False,
    epochs: Annotated[float, typer.Option(min=0.01, help="Maximum number of passes over the recordings.")] = 40.0,
    patience: Annotated[int, typer.Option(min=1, help="Passes without improvement before the training stops.")] = 8,
    batch_size: Annotated[int, typer.Option(min=1, help="Recordings per step.")] = 16,
    accumulate: Annotated[int, typer.Option(min=1, help="Batches per step, for a GPU with little memory.")] = 1,
    learning_rate: Annotated[float, typer.Option(min=0, help="Peak of the learning rate.")] = 3e-4,
    mask_time: Annotated[float, typer.Option(min=0, max=0.5, help="SpecAugment: share of the time to hide.")] = 0.05,
    mask_features: Annotated[
        float, typer.Option(min=0, max=0.5, help="SpecAugment: share of the features to hide.")
    ] = 0.0,
    augment: Annotated[bool, typer.Option(help="Change voice, room, noise, level and line of each recording.")] = True,
    class_weights: Annotated[bool, typer.Option(help="Let both labels count equally if one is rare.")] = True,
    window_ms: Annotated[
        int | None, typer.Option(min=1000, max=10_000, help="First window of the model. Default: AMD_WINDOW_MS.")
    ] = None,
    long_window_ms: Annotated[
        int | None, typer.Option(min=1000, max=15_000, help="Second window. Default: AMD_LONG_WINDOW_MS.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same model on the same machine.")] = 7,
    device: Annotated[Device, typer.Option(help="Processor. `auto` uses a GPU if there is one.")] = Device.AUTO,
    precision: Annotated[
        Precision, typer.Option(help="Number format. `auto` uses bf16 if the processor has it.")
    ] = Precision.AUTO,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads. Default: all cores.")] = None,
    max_minutes: Annotated[float | None, typer.Option(min=0, help="End the training after this time.")] = None,
    report_to: Annotated[
        ReportTo | None, typer.Option(help="Program that records the losses. Its package must be installed.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted training in FOLDER.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")] = False,
) -> None:
    """Fine-tune a Wav2Vec2 classifier on your own recordings.

    A fifth of the voices or callers is held out, unless the dataset has a validation split. They end the training when
    it stops to help, and calibrate the confidence. The folder holds the best weights, and the service loads it:
    AMD_MODEL=FOLDER. Interrupted trainings continue with --resume.
    """
    given = {"window_ms": window_ms, "long_window_ms": long_window_ms}
    windows_given = {key: value for key, value in given.items() if value}
    settings = load_settings_and_logging(quiet=True, model=model, **windows_given)
    from amd_service.cli.extra import TRAIN, raise_if_extra_missing

    raise_if_extra_missing("train", TRAIN)
    from amd_service.cli.train_and_print import policy_of, train_and_print
    from amd_service.lab.dataset.audio_folder import read_folder
    from amd_service.lab.training.fitting import FitOptions
    from amd_service.lab.training.reporting import Reporter
    from amd_service.lab.training.starting_point import Masking
    from amd_service.lab.training.training_options import TrainingOptions

    read_folder(data, keep_other=True)  # report an unusable folder before the model is downloaded
    options = TrainingOptions(
        data=data,
        out=out,
        model=settings.model,
        policy=policy_of(settings, from_scratch=scratch is not None),
        scratch=scratch,
        revision=settings.model_revision,
        stated_labels=settings.labels,
        new_head=new_head,
        lora_rank=lora,
        trains_encoder=train_encoder,
        masking=Masking(mask_time, mask_features),
        augments=augment,
        balances=class_weights,
        threads=threads,
        resume=resume,
        report_to=Reporter(report_to) if report_to else None,
        fit=FitOptions(
            seed=seed,
            epochs=epochs,
            patience=patience,
            batch_size=batch_size,
            accumulation=accumulate,
            learning_rate=learning_rate,
            device=device,
            precision=precision,
            max_minutes=max_minutes,
        ),
    )
    train_and_print(options, settings, as_json=as_json)
