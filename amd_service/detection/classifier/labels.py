"""Determines the label of each of the model's output indexes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from amd_service.domain import Label
from amd_service.errors import ModelUnusable

HUMAN_NAMES = frozenset(
    {"human", "person", "live", "livehuman", "liveperson", "liveanswer", "humananswered", "realperson", "real"}
)
VOICEMAIL_NAMES = frozenset(
    {
        "voicemail",
        "vm",
        "machine",
        "amd",
        "answeringmachine",
        "answermachine",
        "voicemailgreeting",
        "mailbox",
        "voicemailbox",
        "automated",
        "recording",
    }
)


class LabelSource(StrEnum):
    """Source of the label order."""

    CONFIG = "config"
    SETTINGS = "settings"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class LabelOrder:
    """The label of each output index, and the source of this order.

    `ASSUMED`: the model does not name its labels (LABEL_0, LABEL_1). Such a model may serve only if golden clips
    (recordings with known labels) prove the assumed order.
    """

    labels: tuple[Label, Label]
    source: LabelSource

    @property
    def line(self) -> str:
        """The setting, with its value, that states this order."""
        return f"AMD_LABELS={','.join(self.labels)}"

    @property
    def swapped_line(self) -> str:
        """The setting, with its value, that states the opposite order."""
        return f"AMD_LABELS={','.join(reversed(self.labels))}"


def order_labels(id2label: Mapping[str, str], stated: str | None) -> LabelOrder:
    """Read the label order from AMD_LABELS (such as `human,voicemail`) or, if this is not set, from the model's config.

    If the model's labels have names such as LABEL_0, the order is human, voicemail, and the source is `ASSUMED`. Raises
    ModelUnusable unless the model has exactly two outputs, 0 and 1, one for each label.
    """
    if set(id2label) != {"0", "1"}:
        raise ModelUnusable(
            f"the model has {len(id2label)} labels {dict(id2label)}, not two at the indexes 0 and 1. Set AMD_MODEL "
            "to a human/voicemail classifier"
        )
    if stated is not None:
        return LabelOrder(_one_of_each(stated.split(","), f"AMD_LABELS={stated}"), LabelSource.SETTINGS)
    names = [id2label["0"], id2label["1"]]
    if all(label_of(name) is None for name in names):
        return LabelOrder((Label.HUMAN, Label.VOICEMAIL), LabelSource.ASSUMED)
    return LabelOrder(_one_of_each(names, f"the model's labels {names}"), LabelSource.CONFIG)


def label_of(name: str) -> Label | None:
    """Return the label for a known spelling of its name, or None for an unknown name."""
    plain = "".join(character for character in name.casefold() if character.isalnum())
    if plain in HUMAN_NAMES:
        return Label.HUMAN
    return Label.VOICEMAIL if plain in VOICEMAIL_NAMES else None


def _one_of_each(names: Sequence[str], source: str) -> tuple[Label, Label]:
    labels = [label_of(name) for name in names]
    if labels == [Label.HUMAN, Label.VOICEMAIL]:
        return Label.HUMAN, Label.VOICEMAIL
    if labels == [Label.VOICEMAIL, Label.HUMAN]:
        return Label.VOICEMAIL, Label.HUMAN
    raise ModelUnusable(
        f"{source} cannot be read as one human and one voicemail label. Set "
        "AMD_LABELS=human,voicemail if index 0 is human, or AMD_LABELS=voicemail,human if index 0 is voicemail"
    )
