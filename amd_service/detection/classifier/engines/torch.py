"""The reference engine: runs the model with PyTorch in float32, on CUDA if available.

On CUDA, batches of windows with the usual lengths run as recorded graphs (`cuda_graphs.py`). To run in bfloat16, the
engine must have passed its engine check.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from amd_service.detection.classifier.features import normalise
from amd_service.detection.classifier.model import CURE, FEATURE_EXTRACTOR, RATE_HZ, ModelFiles
from amd_service.detection.classifier.temporary_errors import one_line
from amd_service.errors import ModelUnusable
from amd_service.telemetry import get_logger

if TYPE_CHECKING:
    import torch

    from amd_service.detection.classifier.engines.cuda_graphs import RecordedGraphs

# Maximum number of clips per call on a GPU. On a CPU, batching saves at most 15 %, because the 99 frames of one clip
# already fill the matrix unit.
CUDA_BATCH = 64


# Prefixes of weight names from programs that wrap the model: DataParallel, Lightning and torch.compile.
_WRAPPERS = {r"^(?:(?:module|model|_orig_mod)\.)+": ""}
# Weights that only the training uses: the mask of SpecAugment, and the heads of pretraining and of speech recognition.
# Their shape and their presence do not change the scores.
_HARMLESS = re.compile(r"(?:wav2vec2\.)?(?:masked_spec_embed$|(?:lm_head|quantizer|project_hid|project_q)\.)")
# Prefixes of the weights from which `Wav2Vec2ForSequenceClassification` computes the scores.
_NETWORK = ("wav2vec2.", "projector.", "classifier.", "layer_weights")

log = get_logger(__name__)


class TorchEngine:
    """A `Wav2Vec2ForSequenceClassification` in evaluation mode."""

    name = "torch"

    def __init__(
        self,
        model: Any,
        files: ModelFiles,
        device: torch.device,
        precision: str = "fp32",
        run: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        """`run`: computes the outputs of the model for inputs on the device. None: the model itself."""
        self.precision = precision
        self._run = run or (lambda inputs: model(inputs).logits)
        self._model = model
        self._normalise = files.normalise
        self._device = device
        self.max_batch = CUDA_BATCH if device.type == "cuda" else 1

    def logits(self, clips: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        import torch

        batch = torch.from_numpy(np.stack([normalise(clip) if self._normalise else clip for clip in clips]))
        if self._device.type == "cuda":
            batch = batch.pin_memory()
        with torch.inference_mode():
            inputs = batch.to(self._device, non_blocking=True).to(self._model.dtype)
            output = self._run(inputs)
        return np.asarray(output.float().cpu().numpy(), dtype=np.float32)


def load(files: ModelFiles, threads: int, precision: str = "fp32", *, lengths_ms: Sequence[int] = ()) -> TorchEngine:
    """Load the model, entirely in bfloat16 if `precision` is bf16. Raises as `load_model`.

    `lengths_ms`: lengths of windows for which graphs are recorded on CUDA. Call this function on the thread that runs
    the model: the function sets PyTorch's thread count, and OpenMP stores this count per thread.
    """
    import torch

    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    # The reference must compute in float32 throughout, but cuDNN uses TF32 for convolutions by default.
    torch.backends.cudnn.allow_tf32 = False
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    model = load_model(files).to(device, dtype)
    graphs = _record_graphs(model, device, dtype, lengths_ms) if device.type == "cuda" else None
    return TorchEngine(model, files, device, precision, graphs)


def _record_graphs(model: Any, device: torch.device, dtype: torch.dtype, lengths_ms: Sequence[int]) -> RecordedGraphs:
    import torch

    from amd_service.detection.classifier.engines.cuda_graphs import RecordedGraphs, cuda_recorder

    graphs = RecordedGraphs(lambda inputs: model(inputs).logits, cuda_recorder())
    with torch.inference_mode():
        for length_ms in lengths_ms:
            graphs.prepare(RATE_HZ * length_ms // 1000, device=device, dtype=dtype)
    return graphs


def load_model(files: ModelFiles) -> Any:
    """Load the model in float32, in evaluation mode, on the CPU.

    Raises ModelUnusable if a weight that influences the scores is missing, unexpected or of another shape.
    """
    with quiet_transformers():
        _check_feature_extractor(files)
        model = _from_pretrained(files)
    return model.eval()


def _from_pretrained(files: ModelFiles) -> Any:
    import torch
    from transformers import Wav2Vec2ForSequenceClassification

    try:
        # With output_loading_info the result is a pair. The type annotations of transformers do not mention this pair.
        loaded: Any = Wav2Vec2ForSequenceClassification.from_pretrained(
            files.folder,
            dtype=torch.float32,
            attn_implementation="sdpa",
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            key_mapping=_WRAPPERS,
            # `_check_every_weight` reports weights of another shape. Without this option transformers prints a table to
            # stderr.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise ModelUnusable(f"{files.folder} cannot be loaded: {one_line(error)}. {CURE}") from error
    model, report = loaded
    _check_every_weight(files, report)
    return model


def _check_every_weight(files: ModelFiles, report: dict[str, Any]) -> None:
    """Raise ModelUnusable unless every weight that influences the scores was loaded.

    transformers fills missing weights with random numbers and ignores unexpected weights.
    """
    unexpected = sorted(report["unexpected_keys"])
    harmless = [name for name in unexpected if _HARMLESS.match(name)]
    wrong = {
        "missing": sorted(name for name in report["missing_keys"] if not _HARMLESS.match(name)),
        "of another shape": sorted(name for name, *_ in report["mismatched_keys"] if not _HARMLESS.match(name)),
        "failed to load": sorted(report["error_msgs"]),
    }
    # Without these parts of the network, the model computes other scores than during the training.
    left_out = [name for name in unexpected if name not in harmless and name.startswith(_NETWORK)]
    others = [name for name in unexpected if name not in harmless and name not in left_out]
    ignored = {"unexpected": others, "unexpected and harmless": harmless}
    if any(wrong.values()):
        raise ModelUnusable(
            f"{files.folder}: the weights do not fit the architecture: "
            f"{_list_weights(wrong | {'unexpected': left_out + others, 'unexpected and harmless': harmless})}. "
            f"The model's scores would be random. Set AMD_MODEL to a fine-tuned classifier. {CURE}"
        )
    if left_out:
        raise ModelUnusable(
            f"{files.folder}: config.json does not describe all weights: "
            f"{_list_weights({'unexpected': left_out})}. The model's scores would be wrong. Copy the config.json that "
            f"was saved with the weights. {CURE}"
        )
    if unexpected:
        log.info("unused weights ignored", folder=str(files.folder), weights=_list_weights(ignored))


def _list_weights(names: Mapping[str, Sequence[str]]) -> str:
    """List weights by kind: the number of weights, and the first three names."""
    return "; ".join(
        f"{len(each)} {kind} ({', '.join(each[:3])}{', …' if each[3:] else ''})" for kind, each in names.items() if each
    )


def _check_feature_extractor(files: ModelFiles) -> None:
    """Raise ModelUnusable if transformers would normalise the audio in another way than `features.py`."""
    from transformers import AutoFeatureExtractor

    auto: Any = AutoFeatureExtractor
    try:
        extractor = auto.from_pretrained(files.folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelUnusable(f"{files.folder}: {one_line(error)}. {CURE}") from error
    if type(extractor).__name__ != FEATURE_EXTRACTOR or extractor.do_normalize != files.normalise:
        raise ModelUnusable(
            f"{files.folder}: the feature extractor is not supported; transformers reads {one_line(extractor)}. {CURE}"
        )


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Suppress the progress bars and warnings of transformers, and its table of weights.

    `_check_every_weight` reports problems with the weights instead. A training has its own progress bar.
    """
    from transformers.utils import logging as transformers_logging

    noise: Any = transformers_logging
    level, bars = noise.get_verbosity(), noise.is_progress_bar_enabled()
    noise.set_verbosity(logging.CRITICAL)
    noise.disable_progress_bar()
    try:
        yield
    finally:
        noise.set_verbosity(level)
        if bars:
            noise.enable_progress_bar()
