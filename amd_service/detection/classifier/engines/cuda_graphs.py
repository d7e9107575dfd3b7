"""Runs a model on a GPU as recorded graphs.

A window needs hundreds of small operations, and PyTorch needs longer to start them than a GPU to run them. A recorded
graph starts them all at once: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from amd_service.telemetry import get_logger

log = get_logger(__name__)

# Numbers of clips for which graphs are recorded. A smaller batch fills only a part of the next graph.
SIZES = (1, 2, 4, 8, 16, 32, 64)
# Largest difference of an output between a graph and a direct run, relative and absolute: well above rounding in bf16.
_TOLERANCE = 0.02
_WARM_UPS = 3  # the number in PyTorch's documentation

# From inputs, shape (clips, samples), to outputs, shape (clips, labels).
Run = Callable[[Tensor], Tensor]
# Returns the outputs for the present content of the recorded inputs. The next replay overwrites them.
Replay = Callable[[], Tensor]
# Records a run on these inputs. Raises RuntimeError.
Record = Callable[[Run, Tensor], Replay]


@dataclass(frozen=True, slots=True)
class _Graph:
    inputs: Tensor
    replay: Replay


class RecordedGraphs:
    """Runs batches of the recorded shapes as graphs, and all other batches directly. Use it in inference mode."""

    def __init__(self, run: Run, record: Record) -> None:
        self._run = run
        self._record = record
        self._graphs: dict[tuple[int, int], _Graph] = {}

    def prepare(self, samples: int, *, device: torch.device, dtype: torch.dtype) -> None:
        """Record graphs for clips of this length, and compare each with a direct run.

        If one fails, for example because the memory of the GPU is full, larger batches run directly.
        """
        for size in SIZES:
            try:
                inputs = torch.randn(size, samples, device=device, dtype=dtype)
                replay = self._record(self._run, inputs)
                # `record` has computed the outputs of these inputs, so compare with others.
                inputs.normal_()
                is_right = torch.allclose(replay(), self._run(inputs), rtol=_TOLERANCE, atol=_TOLERANCE)
                problem = None if is_right else "its outputs differ from those of a direct run"
            except RuntimeError as error:
                problem = str(error)[:300]
            if problem is not None:
                log.warning("CUDA graph not used", clips=size, samples=samples, problem=problem)
                return
            self._graphs[size, samples] = _Graph(inputs, replay)

    def __call__(self, batch: Tensor) -> Tensor:
        """Return the outputs of a batch, shape (clips, labels). The next call may overwrite them."""
        clips, samples = batch.shape
        size = next((size for size in SIZES if size >= clips and (size, samples) in self._graphs), None)
        if size is None:
            return self._run(batch)
        graph = self._graphs[size, samples]
        graph.inputs[:clips].copy_(batch, non_blocking=True)
        return graph.replay()[:clips]


def cuda_recorder() -> Record:
    """Return a function that records on the current GPU. All its graphs share their memory for intermediate values."""
    pool = torch.cuda.graph_pool_handle()

    def record(run: Run, inputs: Tensor) -> Replay:
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                run(inputs)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Another model of this process may use the GPU from its own thread meanwhile.
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            outputs = run(inputs)

        def replay() -> Tensor:
            graph.replay()
            return outputs

        return replay

    return record
