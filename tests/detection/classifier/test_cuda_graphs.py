"""Batches run as recorded graphs. The tests record on the CPU: a replay runs the same function on the same inputs."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from amd_service.detection.classifier.engines.cuda_graphs import SIZES, RecordedGraphs, Replay, Run

SAMPLES = 50
WEIGHTS = torch.linspace(-1, 1, SAMPLES)[:, None] * torch.tensor([[1.0, -1.0]])


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


class Model:
    """Counts its direct runs."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, inputs: Tensor) -> Tensor:
        self.shapes.append(tuple(inputs.shape))
        return inputs @ WEIGHTS[: inputs.shape[1]]


class Recorder:
    """Records like a GPU: a replay writes the outputs in place, and does not call the model."""

    def __init__(self, *, largest: int = 64, wrong_at: int | None = None) -> None:
        self.largest = largest
        self.wrong_at = wrong_at
        self.replays: list[int] = []

    def __call__(self, run: Run, inputs: Tensor) -> Replay:
        if len(inputs) > self.largest:
            raise torch.OutOfMemoryError("CUDA out of memory")
        outputs = run(inputs)

        def replay() -> Tensor:
            self.replays.append(len(inputs))
            if len(inputs) != self.wrong_at:  # else the graph does not see the new inputs
                outputs.copy_(inputs @ WEIGHTS)
            return outputs

        return replay


def prepared(recorder: Recorder) -> tuple[RecordedGraphs, Model]:
    model = Model()
    graphs = RecordedGraphs(model, recorder)
    graphs.prepare(SAMPLES, device=torch.device("cpu"), dtype=torch.float32)
    model.shapes.clear()
    recorder.replays.clear()
    return graphs, model


@pytest.mark.parametrize("clips", range(1, 65))
def test_a_batch_runs_in_the_smallest_graph_that_holds_it(clips: int) -> None:
    recorder = Recorder()
    graphs, model = prepared(recorder)
    batch = torch.randn(clips, SAMPLES)
    assert torch.allclose(graphs(batch), batch @ WEIGHTS, atol=1e-5)
    assert recorder.replays == [min(size for size in SIZES if size >= clips)]
    assert model.shapes == []


def test_two_batches_do_not_mix() -> None:
    graphs, _ = prepared(Recorder())
    first, second = torch.randn(4, SAMPLES), torch.randn(3, SAMPLES)
    graphs(first)
    assert torch.allclose(graphs(second), second @ WEIGHTS, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, SAMPLES - 1), (65, SAMPLES)])
def test_other_shapes_run_directly(shape: tuple[int, int]) -> None:
    recorder = Recorder()
    graphs, model = prepared(recorder)
    batch = torch.randn(shape)
    assert torch.allclose(graphs(batch), batch @ WEIGHTS[: shape[1]], atol=1e-5)
    assert (model.shapes, recorder.replays) == ([shape], [])


@pytest.mark.parametrize("recorder", [Recorder(largest=4), Recorder(wrong_at=8)])
def test_larger_batches_run_directly_if_a_graph_fails_or_is_wrong(
    recorder: Recorder, capfd: pytest.CaptureFixture[str]
) -> None:
    graphs, model = prepared(recorder)
    assert "CUDA graph not used" in capfd.readouterr().out
    for clips in (3, 5, 8, 64):
        batch = torch.randn(clips, SAMPLES)
        assert torch.allclose(graphs(batch), batch @ WEIGHTS, atol=1e-5)
    assert recorder.replays == [4]
    assert [shape[0] for shape in model.shapes] == [5, 8, 64]
