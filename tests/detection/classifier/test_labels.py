"""The label of each output index."""

import pytest

from amd_service.detection.classifier.labels import LabelSource, order_labels
from amd_service.domain import Label
from amd_service.errors import ModelUnusable

HUMAN_FIRST = (Label.HUMAN, Label.VOICEMAIL)
VOICEMAIL_FIRST = (Label.VOICEMAIL, Label.HUMAN)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("human", "voicemail"), HUMAN_FIRST),
        (("voicemail", "human"), VOICEMAIL_FIRST),
        (("AMD", "Person"), VOICEMAIL_FIRST),
        (("live-human", "Answering_Machine"), HUMAN_FIRST),
        (("VM", "LIVE"), VOICEMAIL_FIRST),
    ],
)
def test_known_spellings_give_the_order(names: tuple[str, str], expected: tuple[Label, Label]) -> None:
    order = order_labels({str(index): name for index, name in enumerate(names)}, None)
    assert (order.labels, order.source) == (expected, LabelSource.CONFIG)


def test_the_order_follows_the_index_not_the_position_in_the_table() -> None:
    assert order_labels({"1": "human", "0": "voicemail"}, None).labels == VOICEMAIL_FIRST


def test_amd_labels_takes_precedence_over_the_config() -> None:
    order = order_labels({"0": "human", "1": "voicemail"}, "voicemail, human")
    assert (order.labels, order.source) == (VOICEMAIL_FIRST, LabelSource.SETTINGS)


def test_a_model_without_label_names_has_an_assumed_order() -> None:
    order = order_labels({"0": "LABEL_0", "1": "LABEL_1"}, None)
    assert order.source is LabelSource.ASSUMED
    assert {order.line, order.swapped_line} == {"AMD_LABELS=human,voicemail", "AMD_LABELS=voicemail,human"}


@pytest.mark.parametrize("names", [("human", "fax"), ("human", "person"), ("LABEL_0", "voicemail")])
def test_names_other_than_one_of_each_are_rejected_with_the_cure(names: tuple[str, str]) -> None:
    with pytest.raises(ModelUnusable, match=r"AMD_LABELS=human,voicemail .* AMD_LABELS=voicemail,human"):
        order_labels({str(index): name for index, name in enumerate(names)}, None)


@pytest.mark.parametrize("stated", ["human", "human,human", "human,voicemail,other", ""])
def test_amd_labels_must_name_both_labels(stated: str) -> None:
    with pytest.raises(ModelUnusable, match="AMD_LABELS"):
        order_labels({"0": "human", "1": "voicemail"}, stated)


@pytest.mark.parametrize("stated", [None, "human,voicemail"])
@pytest.mark.parametrize(
    "names",
    [{"0": "human", "1": "voicemail", "2": "fax"}, {"0": "human"}, {"1": "human", "2": "voicemail"}, {}],
)
def test_anything_but_two_outputs_is_rejected_despite_amd_labels(names: dict[str, str], stated: str | None) -> None:
    with pytest.raises(ModelUnusable, match=f"has {len(names)} labels .* not two at the indexes 0 and 1.*AMD_MODEL"):
        order_labels(names, stated)
