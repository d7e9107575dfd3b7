"""Deviation from the reference, the limits, and the stored record."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amd_service.detection.classifier.engine_check import (
    Deviation,
    Requirements,
    measure_deviation,
    read_engine_check,
    write_engine_check,
)
from tests.support.engine_checks import make_engine_check

probabilities = st.lists(
    st.tuples(st.floats(0, 1, allow_nan=False), st.floats(-0.06, 0.06, allow_nan=False)), min_size=1, max_size=50
)


def found(max_dp: float) -> Deviation:
    return Deviation(max_dp, max_dp / 4, {"0.5": 0, "0.7": 0}, furthest_flip=0.0)


@given(probabilities)
def test_no_flip_is_further_from_its_threshold_than_the_largest_difference(pairs: list[tuple[float, float]]) -> None:
    reference = np.array([p for p, _ in pairs])
    candidate = np.clip(reference + np.array([d for _, d in pairs]), 0, 1)
    compared = measure_deviation(reference, candidate)
    assert compared.furthest_flip <= compared.max_dp + 1e-12


def test_flips_are_counted_at_one_half_and_at_the_threshold_of_either_label() -> None:
    reference = np.array([0.49, 0.69, 0.31, 0.90, 0.10])
    candidate = np.array([0.51, 0.71, 0.29, 0.88, 0.12])
    compared = measure_deviation(reference, candidate)
    assert compared.flips == {"0.5": 1, "0.7": 2}
    assert compared.max_dp == pytest.approx(0.02)
    assert compared.furthest_flip == pytest.approx(0.01)


@pytest.mark.parametrize(("precision", "limit"), [("fp32", 1e-4), ("bf16", 0.02), ("int8", 0.06)])
def test_the_limit_depends_on_the_precision(precision: str, limit: float) -> None:
    assert Requirements().check(found(limit), precision=precision, windows=200)[0]
    passed, explanation = Requirements().check(found(limit * 1.01), precision=precision, windows=200)
    assert not passed
    assert f"exceeds the limit of {limit:g} for {precision}" in explanation


def test_nan_never_passes() -> None:
    compared = measure_deviation(np.array([0.2, 0.4]), np.array([0.2, np.nan]))
    assert not Requirements().check(compared, precision="int8", windows=200)[0]


def test_too_few_windows_never_pass() -> None:
    assert not Requirements().check(found(0.0), precision="bf16", windows=199)[0]


def test_a_written_engine_check_is_read_back(tmp_path: Path) -> None:
    check = replace(make_engine_check(), max_dp=float("inf"), passed=False)
    write_engine_check(tmp_path, check)
    assert read_engine_check(tmp_path) == check
    assert [path.name for path in tmp_path.iterdir()] == ["gate.json"]


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps({"passed": True})])
def test_an_unreadable_engine_check_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "gate.json").write_text(content)
    assert read_engine_check(tmp_path) is None
