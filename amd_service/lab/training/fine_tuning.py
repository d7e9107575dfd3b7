"""Trains a model on a dataset folder and writes the folder that the service loads."""

from dataclasses import replace
from pathlib import Path

import torch

from amd_service.detection.classifier.cores import usable_cores
from amd_service.detection.classifier.engines.torch import quiet_transformers
from amd_service.detection.classifier.hub import locate
from amd_service.lab.augmentation.chain import TELEPHONE
from amd_service.lab.dataset.audio_folder import read_folder
from amd_service.lab.dataset.known_audio import write_known_audio
from amd_service.lab.dataset.labelled_files import raise_if_unreadable
from amd_service.lab.synthesis.voices import Split
from amd_service.lab.training import lora, model_folder
from amd_service.lab.training.checkpoints import Run, prepare_checkpoints
from amd_service.lab.training.fitting import Fit, fit
from amd_service.lab.training.held_out_scores import measure_held_out
from amd_service.lab.training.model_card import write_card
from amd_service.lab.training.progress import TrainingProgress
from amd_service.lab.training.recordings import HeldOutWindows, find_speech, read_window
from amd_service.lab.training.reporting import raise_if_not_installed
from amd_service.lab.training.scoring import fit_temperature, score_windows
from amd_service.lab.training.starting_point import (
    StartingPoint,
    start_from_checkpoint,
    start_from_scratch,
)
from amd_service.lab.training.training_data import HeardData, TrainingData, divide
from amd_service.lab.training.training_options import Trained, TrainingOptions
from amd_service.lab.training.training_windows import TrainingWindows
from amd_service.settings import Settings

# Held-out windows that are compared before and after saving.
_COMPARED = 8


def fine_tune(options: TrainingOptions, settings: Settings, progress: TrainingProgress) -> Trained:
    """Train, calibrate, check, measure and write a model. `settings`: of the service that will use the model.

    Raises ConfigurationError, DatasetUnusable or ModelUnusable with the cure. After an interruption, the same call with
    `resume` continues from the last checkpoint.
    """
    raise_if_not_installed(options.report_to)
    data = divide(read_folder(options.data, keep_other=True), seed=options.fit.seed)
    torch.set_num_threads(options.threads or usable_cores())
    torch.manual_seed(options.fit.seed)  # for the random weights of a new head
    with quiet_transformers(), model_folder.full_disk_explained(options.out):
        start = _load_start(options)
        checkpoints = prepare_checkpoints(options.out, _describe(options, start, data), resume=options.resume)
        model_folder.raise_if_no_space(options.out, start.model)
        heard = _listen(data, progress)
        for warning in heard.warnings:
            progress.warn(warning)
        return _finish(start, heard, _train(start, heard, options, checkpoints, progress), options, settings, progress)


def _load_start(options: TrainingOptions) -> StartingPoint:
    if options.scratch is not None:
        return start_from_scratch(options.scratch, masking=options.masking)
    return start_from_checkpoint(
        locate(options.model, options.revision),
        masking=options.masking,
        new_head=options.new_head,
        stated_labels=options.stated_labels,
    )


def _describe(options: TrainingOptions, start: StartingPoint, data: TrainingData) -> Run:
    return Run(
        start=start.id,
        labels=",".join(start.labels),
        lora_rank=options.lora_rank,
        seed=options.fit.seed,
        data=data.digest,
    )


def _listen(data: TrainingData, progress: TrainingProgress) -> HeardData:
    recordings = {}
    for split, files in data.parts.items():
        with progress.stage(f"reading {split}", len(files)) as bar:
            raise_if_unreadable(files)
            recordings[split] = find_speech(files, heard=bar.advance)
    return HeardData(data, recordings)


def _train(
    start: StartingPoint, heard: HeardData, options: TrainingOptions, checkpoints: Path, progress: TrainingProgress
) -> Fit:
    model = start.model if options.lora_rank is None else lora.add_adapters(start.model, options.lora_rank)
    if options.lora_rank is None and not options.trains_encoder:
        model.freeze_feature_encoder()
    weights = heard.class_weights(start.labels) if options.balances else (1.0, 1.0)
    report_to = str(options.report_to) if options.report_to else None
    with progress.stage("training", None) as bar:
        outcome = fit(
            model,
            TrainingWindows(heard.recordings[Split.TRAIN], options.policy, TELEPHONE if options.augments else None),
            HeldOutWindows(heard.recordings[Split.VALIDATION], options.policy),
            collator=start.collator,
            options=replace(options.fit, class_weights=weights, report_to=report_to),
            checkpoints=checkpoints,
            resume=options.resume,
            callbacks=[bar],
        )
    if options.lora_rank is not None:
        lora.merge_adapters(model)
    return outcome


def _finish(
    start: StartingPoint,
    heard: HeardData,
    outcome: Fit,
    options: TrainingOptions,
    settings: Settings,
    progress: TrainingProgress,
) -> Trained:
    """Write the model beside the checkpoints, check, calibrate and measure it there, then move it into place."""
    finished, policy = options.out / model_folder.CHECKPOINTS / "finished", options.policy
    held_out = heard.recordings[Split.VALIDATION]
    model_folder.write_network(finished, start)
    engine = model_folder.load_as_service(finished, start.labels, options.threads or usable_cores())
    windows = [read_window(each, policy, policy.window_ms) for each in held_out[:_COMPARED]]
    model_folder.raise_if_changed(start, engine, windows)
    logits = score_windows(engine, start.labels, held_out, policy)
    temperature = fit_temperature(logits, [each.target for each in held_out])
    model_folder.write_calibration(finished, temperature, policy)
    with progress.stage("measuring", len(heard.data.validation) + len(heard.data.test)) as bar:
        evaluation = measure_held_out(finished, heard.data, settings, judged=bar.advance)
    write_known_audio(finished, heard.digests)
    trained = Trained(options, start.id, outcome, temperature, heard, evaluation)
    model_folder.write_json(finished / "training_arguments.json", trained.arguments)
    write_card(finished / "README.md", trained)
    model_folder.move_into(options.out, finished)
    return trained
