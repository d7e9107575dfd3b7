"""Estimated error rates against populations whose error rates are known."""

from collections import Counter

import numpy as np
import pytest

from amd_service.domain import Label
from amd_service.operations.review.error_rates import Cell, ErrorRate, estimate_error_rates

LABELS = (Label.VOICEMAIL, Label.HUMAN, Label.UNDECIDED)
# Sampling probability of each stratum: undecided, disagreement, low confidence, all other calls.
PROBABILITIES = np.array([0.2, 0.2, 0.2, 0.02])
CALLS = 20_000


class Population:
    """Calls with a known true answer. Wrong verdicts are more often disagreements and of low confidence."""

    def __init__(self, random: np.random.Generator, human_error: float, voicemail_error: float) -> None:
        self.human = random.random(CALLS) < 0.45
        wrong = random.random(CALLS) < np.where(self.human, human_error, voicemail_error)
        undecided = random.random(CALLS) < 0.05
        self.label = np.where(undecided, 2, np.where(wrong, ~self.human, self.human))
        disagrees = random.random(CALLS) < np.where(wrong, 0.6, 0.06)
        is_low = random.random(CALLS) < np.where(wrong, 0.4, 0.05)
        self.stratum = np.select([undecided, disagrees, is_low], [0, 1, 2], 3)
        self.reviewed = random.random(CALLS) < PROBABILITIES[self.stratum]

    @property
    def humans_called_voicemail(self) -> float:
        return float(np.mean(self.label[self.human] == 0))

    @property
    def voicemails_called_human(self) -> float:
        return float(np.mean(self.label[~self.human] == 1))

    def cells(self) -> list[Cell]:
        groups = Counter(zip(self.stratum.tolist(), self.label.tolist(), strict=True))
        found = Counter(
            zip(
                self.stratum[self.reviewed].tolist(),
                self.label[self.reviewed].tolist(),
                self.human[self.reviewed].tolist(),
                strict=True,
            )
        )
        return [
            Cell(LABELS[label], calls, human=found[stratum, label, True], voicemail=found[stratum, label, False])
            for (stratum, label), calls in groups.items()
        ]

    def plain_average(self) -> tuple[float, float]:
        """The 95 % interval of the humans called voicemail without weights."""
        errors = self.label[self.reviewed & self.human] == 0
        half_width = 1.96 * float(errors.std()) / len(errors) ** 0.5
        return float(errors.mean()) - half_width, float(errors.mean()) + half_width


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.parametrize(("human_error", "voicemail_error"), [(0.01, 0.02)])
def test_the_interval_covers_the_truth_in_93_percent_of_runs_and_a_plain_average_does_not(
    human_error: float, voicemail_error: float
) -> None:
    runs, covered, covered_by_average = 500, Counter[str](), 0
    for seed in range(runs):
        population = Population(np.random.default_rng(seed), human_error, voicemail_error)
        rates = estimate_error_rates(population.cells(), seed=seed)
        covered["human"] += _covers(rates.humans_called_voicemail, population.humans_called_voicemail)
        covered["voicemail"] += _covers(rates.voicemails_called_human, population.voicemails_called_human)
        low, high = population.plain_average()
        covered_by_average += low <= population.humans_called_voicemail <= high
    assert min(covered.values()) >= 0.93 * runs, covered
    assert covered_by_average < 0.5 * runs


def _covers(rate: ErrorRate, truth: float) -> bool:
    return rate.low <= truth <= rate.high


def test_each_review_counts_for_the_unreviewed_calls_of_its_cell() -> None:
    easy = Cell(Label.HUMAN, calls=1000, human=10)
    difficult = Cell(Label.VOICEMAIL, calls=20, human=10, voicemail=10)
    rate = estimate_error_rates([easy, difficult]).humans_called_voicemail
    assert rate.rate == pytest.approx(10 / 1010)
    assert rate.reviews == 30


def test_no_review_gives_no_rate_and_an_interval_over_everything() -> None:
    rate = estimate_error_rates([Cell(Label.HUMAN, calls=500), Cell(Label.VOICEMAIL, calls=500)])
    assert rate.humans_called_voicemail.rate is None
    assert rate.humans_called_voicemail.high - rate.humans_called_voicemail.low > 0.9
    assert estimate_error_rates([]).humans_called_voicemail.rate is None


def test_a_fully_reviewed_population_has_no_uncertainty() -> None:
    cells = [Cell(Label.HUMAN, calls=99, human=99), Cell(Label.VOICEMAIL, calls=41, human=1, voicemail=40)]
    rate = estimate_error_rates(cells).humans_called_voicemail
    assert (rate.rate, rate.low, rate.high, rate.more_reviews) == (0.01, 0.01, 0.01, 0)


def test_answers_that_are_neither_human_nor_voicemail_count_for_no_rate() -> None:
    cells = [Cell(Label.HUMAN, calls=10, human=5, neither=5), Cell(Label.VOICEMAIL, calls=10, voicemail=10)]
    assert estimate_error_rates(cells).voicemails_called_human.rate == 0


def test_more_reviews_are_needed_while_the_interval_is_wider_than_one_percent() -> None:
    few = [Cell(Label.HUMAN, 5000, human=50), Cell(Label.VOICEMAIL, 5000, human=2, voicemail=48)]
    many = [Cell(Label.HUMAN, 5000, human=2500), Cell(Label.VOICEMAIL, 5000, human=100, voicemail=2400)]
    assert estimate_error_rates(few).humans_called_voicemail.more_reviews > 100
    assert estimate_error_rates(many).humans_called_voicemail.more_reviews == 0
