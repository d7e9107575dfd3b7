"""Numbers of calls against values from textbooks and simulation."""

from pathlib import Path

import numpy as np
import pytest

from amd_service.lab.evaluation.comparison import mcnemar
from amd_service.lab.evaluation.rates import wilson
from amd_service.lab.evaluation.sample_size import (
    calls_for_difference,
    calls_for_half_width,
    calls_without_error,
    design_effect,
    mcnemar_power,
    tables,
)


def test_the_number_of_calls_gives_the_width() -> None:
    calls = calls_for_half_width(0.9, 0.03)
    found = wilson(round(0.9 * calls), calls)
    assert found.high - found.low <= 0.06
    # The usual formula 1.96² · 0.9 · 0.1 / 0.03² gives 384.
    assert calls == pytest.approx(384, abs=10)


def test_a_bound_without_errors_is_close_to_the_rule_of_three() -> None:
    """Wilson's bound is two-sided: 3.84 / n instead of 3 / n."""
    assert calls_without_error(0.01) == pytest.approx(384 - 3.84, abs=10)


def test_the_power_of_the_exact_test_agrees_with_simulation() -> None:
    rng = np.random.default_rng(1)
    differing = rng.binomial(200, 0.12, size=1000)
    only_new = rng.binomial(differing, 0.09 / 0.12)
    share = np.mean([mcnemar(int(new), int(all_ - new)) <= 0.05 for new, all_ in zip(only_new, differing, strict=True)])
    assert mcnemar_power(200, 0.09, 0.03) == pytest.approx(float(share), abs=0.04)


def test_more_calls_find_a_smaller_difference() -> None:
    assert mcnemar_power(calls_for_difference(0.06, 0.02), 0.06, 0.02) >= 0.8
    assert calls_for_difference(0.03, 0.01) > calls_for_difference(0.06, 0.02)


def test_without_a_difference_the_test_errs_in_at_most_one_of_twenty() -> None:
    assert 0 < mcnemar_power(500, 0.05, 0.05) <= 0.05


def test_calls_that_are_all_alike_count_as_one() -> None:
    assert design_effect(10, 1.0) == 10
    assert design_effect(10, 0.0) == 1


def test_the_page_has_the_tables_of_this_version() -> None:
    page = (Path(__file__).parents[3] / "docs" / "evaluating.md").read_text(encoding="utf-8")
    assert [table for table in tables().split("\n\n") if table not in page] == []
