"""The judged clips whose true label is human or voicemail, as arrays with one element per clip."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from amd_service.domain import LongWindowRule
from amd_service.lab.evaluation.rates import Clusters, Floats, Mask

Codes = NDArray[np.int8]


class Code(IntEnum):
    """Number of a label in the arrays. In the arrays of scores, `HUMAN` and `VOICEMAIL` are also the column."""

    HUMAN = 0
    VOICEMAIL = 1
    UNDECIDED = 2


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Judged clips.

    - `truth`: true label;
    - `called`: label of the verdict;
    - `first`, `long`: scores of the first and of the longer window, shape (clips, 2), NaN if the model did not run. If
      the clip has no longer window, `long` equals `first`;
    - `final`: scores that the verdict is based on;
    - `long_window`: rule by which the detector used the longer window;
    - `clusters`: number of the clip's cluster, None if the clips are independent.
    """

    truth: Codes
    called: Codes
    first: Floats
    long: Floats
    final: Floats
    clusters: Clusters | None = None
    long_window: LongWindowRule = LongWindowRule.UNSURE

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def scored(self) -> Mask:
        """The clips on which the model ran."""
        return np.isfinite(self.final[:, 0])

    @property
    def is_decided(self) -> Mask:
        return np.asarray(self.called != Code.UNDECIDED)

    @property
    def is_right(self) -> Mask:
        """The clips whose verdict is the true label. An undecided clip is not right."""
        return np.asarray(self.called == self.truth)

    @property
    def is_wrong(self) -> Mask:
        """The clips with the opposite label. An undecided clip is not wrong."""
        return np.asarray(self.is_decided & (self.called != self.truth))

    def only(self, among: Mask) -> "Sample":
        """Return the selected clips."""
        clusters = None if self.clusters is None else self.clusters[among]
        truth, called = self.truth[among], self.called[among]
        windows = self.first[among], self.long[among], self.final[among]
        return Sample(truth, called, *windows, clusters, self.long_window)


def top(scores: Floats) -> Codes:
    """Return the more probable label per row, as `detection.decision.top_label` does. Scores must not be NaN."""
    return np.where(scores[:, Code.HUMAN] > scores[:, Code.VOICEMAIL], Code.HUMAN, Code.VOICEMAIL).astype(np.int8)
