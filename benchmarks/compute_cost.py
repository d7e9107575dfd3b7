"""Computes the floor of an engine: the shortest time per window that the machine's rates allow.

Each product of matrices takes at least the larger of two times: its arithmetic, and reading its weights from memory.
Norms and softmax are added: they read and write their values once. Activations are assumed to stay in the caches.
Activation functions and sums are assumed to cost nothing.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from amd_service.detection.classifier.frames import ConvolutionalFront

_GIGA = 1e9
_VALUE_BYTES = {"fp32": 4, "bf16": 2, "int8": 1}


@dataclass(frozen=True, slots=True)
class Rates:
    """The best measured rates: products in 10^9 operations per second, memory in 10^9 bytes per second.

    `bf16`: None on a processor that only emulates bf16. `read_gb_s`: reading from memory. `copy_gb_s`: reading plus
    writing an array of the size of one layer's activations, which stays in the caches.
    """

    fp32: float
    bf16: float | None
    int8: float
    read_gb_s: float
    copy_gb_s: float

    def of(self, precision: str) -> float:
        """Return the rate of products at a precision."""
        rate = {"fp32": self.fp32, "bf16": self.bf16, "int8": self.int8}[precision]
        assert rate is not None, f"{precision} was not measured"
        return rate

    def at_least(self, other: "Rates") -> "Rates":
        """Return the higher rate of two measurements, each."""
        return Rates(
            fp32=max(self.fp32, other.fp32),
            bf16=max(self.bf16, other.bf16) if self.bf16 and other.bf16 else None,
            int8=max(self.int8, other.int8),
            read_gb_s=max(self.read_gb_s, other.read_gb_s),
            copy_gb_s=max(self.copy_gb_s, other.copy_gb_s),
        )


@dataclass(frozen=True, slots=True)
class Product:
    """One product of matrices. A multiply-add counts as 2 operations.

    `weights`: number of weights, 0 for the products of attention. `is_linear`: True for linear layers, the only
    products that an int8 engine runs in int8.
    """

    operations: float
    weights: int
    is_linear: bool = False


@dataclass(frozen=True, slots=True)
class ComputeCost:
    """Work of one window. `normalised`: number of values that pass through norms and softmax."""

    products: tuple[Product, ...]
    normalised: int

    @property
    def total(self) -> float:
        """Return the operations of all products, in 10^9."""
        return sum(product.operations for product in self.products) / _GIGA

    @classmethod
    def of_model(cls, folder: Path, samples: int) -> Self:
        """Count the work from the shapes in the config.json of a Wav2Vec2."""
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        front = ConvolutionalFront.of_model(folder)
        frames = [
            ConvolutionalFront(front.kernels[:count], front.strides[:count]).frames(samples)
            for count in range(1, len(front.kernels) + 1)
        ]
        widths = config["conv_dim"]
        normed = len(widths) if config.get("feat_extract_norm", "group") == "layer" else 1
        layers, hidden = config["num_hidden_layers"], config["hidden_size"]
        # Each layer has two norms, and a softmax per head. Two further norms surround the layers.
        per_layer = 2 * frames[-1] * hidden + config["num_attention_heads"] * frames[-1] ** 2
        around = frames[-1] * (widths[-1] + hidden)
        front_values = sum(width * count for width, count in zip(widths[:normed], frames, strict=False))
        products = (*_convolutions(config, front, frames), *_encoder(config, frames[-1]))
        return cls(products, front_values + layers * per_layer + around)

    def floor_ms(self, rates: Rates, precision: str, other_precision: str) -> float:
        """Return the floor in milliseconds.

        `precision`: number format of the linear layers. `other_precision`: number format of everything else, which
        differs from `precision` in an int8 engine.
        """
        seconds = sum(
            _seconds(product, rates, precision if product.is_linear else other_precision) for product in self.products
        )
        moved = 2 * self.normalised * _VALUE_BYTES[other_precision]
        return 1000 * (seconds + moved / (rates.copy_gb_s * _GIGA))


def _convolutions(config: Mapping[str, Any], front: ConvolutionalFront, frames: list[int]) -> Iterator[Product]:
    inputs = [1, *config["conv_dim"]]
    for width_in, width, kernel, count in zip(inputs, config["conv_dim"], front.kernels, frames, strict=False):
        weights = kernel * width_in * width
        yield Product(2 * weights * count, weights)


def _encoder(config: Mapping[str, Any], frames: int) -> Iterator[Product]:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    positional = config["num_conv_pos_embeddings"] * hidden * hidden // config["num_conv_pos_embedding_groups"]
    yield Product(2 * positional * frames, positional)
    linears = [config["conv_dim"][-1] * hidden]
    linears += config["num_hidden_layers"] * ([hidden * hidden] * 4 + [hidden * inner] * 2)
    yield from (Product(2 * weights * frames, weights, is_linear=True) for weights in linears)
    # Queries by keys, and weights by values.
    yield from [Product(2 * frames**2 * hidden, 0)] * (2 * config["num_hidden_layers"])


def _seconds(product: Product, rates: Rates, precision: str) -> float:
    arithmetic = product.operations / (rates.of(precision) * _GIGA)
    return max(arithmetic, product.weights * _VALUE_BYTES[precision] / (rates.read_gb_s * _GIGA))
