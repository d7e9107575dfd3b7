"""The floor of an engine, for a model that is small enough to count by hand.

20 samples become 9 frames of width 4, and then 4 frames of width 8. One layer of width 16 follows.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.compute_cost import ComputeCost, Product, Rates

CONFIG = {
    "conv_dim": [4, 8],
    "conv_kernel": [4, 2],
    "conv_stride": [2, 2],
    "feat_extract_norm": "layer",
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}
# 1 operation per nanosecond, 1 byte per nanosecond.
ONE = Rates(fp32=1.0, bf16=1.0, int8=1.0, read_gb_s=1.0, copy_gb_s=1.0)
ENDLESS = 1e30


@pytest.fixture
def cost(tmp_path: Path) -> ComputeCost:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return ComputeCost.of_model(tmp_path, samples=20)


def test_the_products_are_those_of_the_model(cost: ComputeCost) -> None:
    convolutions = [Product(2 * 16 * 9, 16), Product(2 * 64 * 4, 64)]
    positions = [Product(2 * 512 * 4, 512)]
    projection = [Product(2 * 128 * 4, 128, is_linear=True)]
    attention = [Product(2 * 256 * 4, 256, is_linear=True)] * 4
    feed_forward = [Product(2 * 512 * 4, 512, is_linear=True)] * 2
    scores = [Product(2 * 4 * 4 * 16, 0)] * 2
    expected = [*convolutions, *positions, *projection, *attention, *feed_forward, *scores]
    assert sorted(cost.products, key=repr) == sorted(expected, key=repr)
    assert cost.total == sum(product.operations for product in expected) / 1e9


def test_norms_and_softmax_pass_each_of_their_values_once(cost: ComputeCost) -> None:
    after_convolutions = 9 * 4 + 4 * 8
    around_layers = 4 * 8 + 4 * 16
    in_layers = 2 * 4 * 16 + 2 * 4 * 4
    assert cost.normalised == after_convolutions + around_layers + in_layers


def floor_ns(cost: ComputeCost, rates: Rates, precision: str, other: str) -> float:
    return 1e6 * cost.floor_ms(rates, precision, other)


def test_each_product_takes_the_larger_of_its_arithmetic_and_its_memory_time() -> None:
    busy, heavy = Product(operations=1000.0, weights=10), Product(operations=100.0, weights=50)
    cost = ComputeCost((busy, heavy), normalised=0)
    # The first takes 1000 ns of arithmetic and 40 ns of reading, the second 100 ns and 200 ns.
    assert floor_ns(cost, ONE, "fp32", "fp32") == pytest.approx(1000 + 200)
    # With twice the arithmetic rate, only the first is faster.
    assert floor_ns(cost, replace(ONE, fp32=2.0), "fp32", "fp32") == pytest.approx(500 + 200)


def test_only_linear_layers_run_at_the_rate_of_int8() -> None:
    linear, convolution = Product(1000.0, 10, is_linear=True), Product(300.0, 10)
    cost = ComputeCost((linear, convolution), normalised=0)
    rates = replace(ONE, int8=10.0, bf16=3.0)
    assert floor_ns(cost, rates, "int8", "bf16") == pytest.approx(1000 / 10 + 300 / 3)
    assert floor_ns(cost, rates, "int8", "fp32") == pytest.approx(1000 / 10 + 300)


@pytest.mark.parametrize(("precision", "value_bytes"), [("fp32", 4), ("bf16", 2), ("int8", 1)])
def test_weights_are_read_in_the_size_of_the_precision(precision: str, value_bytes: int) -> None:
    cost = ComputeCost((Product(1.0, 100, is_linear=True),), normalised=0)
    assert floor_ns(cost, ONE, precision, "fp32") == pytest.approx(100 * value_bytes)


def test_norms_are_read_and_written_at_the_precision_of_the_other_parts() -> None:
    cost = ComputeCost((), normalised=100)
    assert floor_ns(cost, ONE, "int8", "fp32") == pytest.approx(2 * 100 * 4)
    assert floor_ns(cost, ONE, "int8", "bf16") == pytest.approx(2 * 100 * 2)


def test_the_floor_of_a_whole_model_adds_products_and_norms(cost: ComputeCost) -> None:
    # Memory is free, so only the arithmetic remains; then the arithmetic is free.
    arithmetic = floor_ns(cost, replace(ONE, read_gb_s=ENDLESS, copy_gb_s=ENDLESS), "fp32", "fp32")
    assert arithmetic == pytest.approx(1e9 * cost.total)
    memory = floor_ns(cost, replace(ONE, fp32=ENDLESS, copy_gb_s=ENDLESS), "fp32", "fp32")
    assert memory == pytest.approx(4 * sum(product.weights for product in cost.products))
    norms = floor_ns(cost, replace(ONE, fp32=ENDLESS, read_gb_s=ENDLESS), "fp32", "fp32")
    assert norms == pytest.approx(2 * 4 * cost.normalised)


def test_a_rate_that_was_not_measured_is_refused() -> None:
    with pytest.raises(AssertionError, match="bf16 was not measured"):
        replace(ONE, bf16=None).of("bf16")


def test_the_higher_rate_of_two_measurements_counts() -> None:
    other = Rates(fp32=2.0, bf16=None, int8=0.5, read_gb_s=3.0, copy_gb_s=0.5)
    assert ONE.at_least(other) == Rates(fp32=2.0, bf16=None, int8=1.0, read_gb_s=3.0, copy_gb_s=1.0)
