"""Computes the minimum time per window from the operations per window and the machine's rate of matrix products."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Self

import torch
from torch.nn import functional

from amd_service.detection.classifier.frames import ConvolutionalFront

_GIGA = 1e9
# Rows, inner, columns. The first shape is a large square. The other shapes are those of the feed-forward block for
# windows of 2 and 16 s.
_SHAPES = ((2048, 2048, 2048), (99, 1024, 4096), (792, 1024, 4096))


@dataclass(frozen=True, slots=True)
class ComputeCost:
    """Floating-point operations of one window, in 10^9. A multiply-add counts as 2 operations."""

    convolutions: float
    positional: float
    linears: float
    attention: float

    @property
    def total(self) -> float:
        return self.convolutions + self.positional + self.linears + self.attention

    @classmethod
    def of_model(cls, folder: Path, samples: int) -> Self:
        """Count the operations from the shapes in the config.json of a Wav2Vec2.

        Norms, activations and softmax are not counted.
        """
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        hidden, layers = config["hidden_size"], config["num_hidden_layers"]
        widths = [1, *config["conv_dim"]]
        front = ConvolutionalFront.of_model(folder)
        convolutions = 0.0
        for index, kernel in enumerate(front.kernels):
            upto = ConvolutionalFront(front.kernels[: index + 1], front.strides[: index + 1])
            convolutions += 2 * kernel * widths[index] * widths[index + 1] * upto.frames(samples)
        frames = front.frames(samples)
        grouped = hidden // config["num_conv_pos_embedding_groups"]
        block = 4 * hidden**2 + 2 * hidden * config["intermediate_size"]
        return cls(
            convolutions=convolutions / _GIGA,
            positional=2 * config["num_conv_pos_embeddings"] * grouped * hidden * frames / _GIGA,
            linears=2 * frames * (layers * block + widths[-1] * hidden) / _GIGA,
            attention=4 * frames**2 * hidden * layers / _GIGA,
        )


@dataclass(frozen=True, slots=True)
class Rates:
    """The best measured rate of matrix products by number type, in 10^9 operations per second."""

    fp32: float
    bf16: float
    int8: float

    def minimum_ms(self, cost: ComputeCost, precision: str) -> float:
        """Return the minimum milliseconds for `cost`.

        With int8, the linear layers run at the int8 rate and all other operations at the bf16 rate.
        """
        if precision == "int8":
            return 1000 * (cost.linears / self.int8 + (cost.total - cost.linears) / self.bf16)
        return 1000 * cost.total / (self.bf16 if precision == "bf16" else self.fp32)

    def at_least(self, other: "Rates") -> "Rates":
        """Return the higher rate of two measurements, by number type."""
        return Rates(max(self.fp32, other.fp32), max(self.bf16, other.bf16), max(self.int8, other.int8))


def measure_rates(threads: int, repeats: int = 12) -> Rates:
    """Time PyTorch's matrix products on `threads` threads: the best rate over shapes and repeats."""
    torch.set_num_threads(threads)
    return Rates(_best(_fp32, repeats), _best(_bf16, repeats), _best(_int8, repeats))


Product = Callable[[], object]


def _best(make: Callable[[int, int, int], Product], repeats: int) -> float:
    return max(_rate(make(*shape), shape, repeats) for shape in _SHAPES)


def _rate(product: Product, shape: tuple[int, int, int], repeats: int) -> float:
    product()
    shortest_s = float("inf")
    for _ in range(repeats):
        started = perf_counter()
        product()
        shortest_s = min(shortest_s, perf_counter() - started)
    rows, inner, columns = shape
    return 2 * rows * inner * columns / shortest_s / _GIGA


def _fp32(rows: int, inner: int, columns: int) -> Product:
    left, right = torch.randn(rows, inner), torch.randn(columns, inner)
    return lambda: functional.linear(left, right)


def _bf16(rows: int, inner: int, columns: int) -> Product:
    left, right = torch.randn(rows, inner).bfloat16(), torch.randn(columns, inner).bfloat16()
    return lambda: functional.linear(left, right)


def _int8(rows: int, inner: int, columns: int) -> Product:
    left = torch.randint(-127, 127, (rows, inner), dtype=torch.int8)
    right = torch.randint(-127, 127, (inner, columns), dtype=torch.int8)
    return lambda: torch._int_mm(left, right)
