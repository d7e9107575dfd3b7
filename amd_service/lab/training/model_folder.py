"""Writes the folder of a trained model, and checks that the service loads the same network from it."""

import errno
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError

from amd_service.detection.classifier.engines import torch as torch_engine
from amd_service.detection.classifier.hub import Located
from amd_service.detection.classifier.model import check_files
from amd_service.detection.classifier.model_windows import LIVE_WINDOW_MS, LONG_WINDOW_MS, WINDOW_MS
from amd_service.detection.decision import Policy
from amd_service.domain import Label, LongWindowRule
from amd_service.errors import ConfigurationError, ModelUnusable
from amd_service.lab.training.starting_point import StartingPoint

CHECKPOINTS = "checkpoints"
# Windows of a model without `windows.json`.
_USUAL_WINDOWS = {
    "window_ms": WINDOW_MS,
    "long_window_ms": LONG_WINDOW_MS,
    "live_window_ms": LIVE_WINDOW_MS,
    "long_window": LongWindowRule.UNSURE,
}
# Largest difference between logits before and after saving. Kernels on a GPU round differently.
_TOLERANCE = 1e-3
# A checkpoint holds the weights and two moments of the optimizer; two checkpoints and the model are on the disk.
_COPIES = 7


def write_network(out: Path, start: StartingPoint) -> None:
    """Write weights as safetensors, config with `id2label`, and feature extractor."""
    start.model.save_pretrained(out)
    # transformers makes the file readable only by its owner, but the service may run as another user.
    for path in out.glob("model*.safetensors"):
        path.chmod(0o644)
    start.extractor.save_pretrained(out)


def load_as_service(out: Path, labels: tuple[Label, Label], threads: int) -> torch_engine.TorchEngine:
    """Load the written folder with the service's reference engine. Raises ModelUnusable."""
    files = check_files(Located(str(out), out, None), None)
    if files.labels.labels != labels:
        raise ModelUnusable(f"{out}: the label order changed from {labels} to {files.labels.labels} while saving")
    return torch_engine.load(files, threads)


def raise_if_changed(
    start: StartingPoint, engine: torch_engine.TorchEngine, windows: Sequence[NDArray[np.float32]]
) -> None:
    """Raise ModelUnusable unless the loaded network scores windows as the trained network does, above all its head."""
    trained = start.model.cpu().eval()
    for window in windows:
        with torch.inference_mode():
            before = trained(start.collator.clip(window)[None]).logits[0].float().numpy()
        difference = float(np.abs(before - engine.logits([window])[0]).max())
        if not difference <= _TOLERANCE:
            raise ModelUnusable(
                f"the scores changed while the model was saved (logits differ by {difference:.3g}): its weights were "
                "not written completely. Train without --lora, and report this error"
            )


def write_calibration(out: Path, temperature: float, policy: Policy) -> None:
    """Write `calibration.json`, and `windows.json` if the windows are not the usual ones."""
    write_json(out / "calibration.json", {"temperature": temperature})
    windows = {key: value for key, usual in _USUAL_WINDOWS.items() if (value := getattr(policy, key)) != usual}
    if windows:
        write_json(out / "windows.json", windows)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")


def move_into(out: Path, finished: Path) -> None:
    """Move the finished files into `out` and delete the checkpoints, so that `out` never holds half a model.

    The config moves last, because a folder without it is not a model folder.
    """
    for path in sorted(finished.iterdir(), key=lambda path: path.name == "config.json"):
        path.replace(out / path.name)
    shutil.rmtree(out / CHECKPOINTS)


def raise_if_no_space(out: Path, model: Any) -> None:
    """Raise ConfigurationError if the checkpoints and the model will not fit on the disk of `out`."""
    out.mkdir(parents=True, exist_ok=True)
    weights = sum(each.numel() * each.element_size() for each in model.parameters())
    needed, free = _COPIES * weights, shutil.disk_usage(out).free
    if free < needed:
        raise ConfigurationError(
            f"{out}: the training needs about {needed / 1e9:.1f} GB for checkpoints and model, but the disk has "
            f"{free / 1e9:.1f} GB left: free some space, or choose --out on another disk"
        )


@contextmanager
def full_disk_explained(out: Path) -> Iterator[None]:
    """Raise ConfigurationError in place of the errors with which libraries report a full disk."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        # PyTorch and safetensors report only a text.
        is_write_error = "No space left" in str(error) or "PytorchStreamWriter" in str(error)
        if not is_write_error and getattr(error, "errno", None) not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ConfigurationError(
            f"{out}: the disk is full. Free some space and run the command again with --resume: it continues from the "
            "last complete checkpoint"
        ) from error
