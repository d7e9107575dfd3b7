"""What a model calls human and voicemail, and at which index."""

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
    """Where the order of the labels comes from."""

    CONFIG = "config"
    SETTINGS = "settings"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class LabelOrder:
    """The label of each index of the model's output, and where that is known from.

    `ASSUMED`: the model names nothing (LABEL_0, LABEL_1). Such a model must not serve unless golden clips prove
    the assumed order.
    """

    labels: tuple[Label, Label]
    source: LabelSource

    @property
    def line(self) -> str:
        """The setting that states this order."""
        return f"AMD_LABELS={','.join(self.labels)}"

    @property
    def swapped_line(self) -> str:
        """The setting that states the opposite order."""
        return f"AMD_LABELS={','.join(reversed(self.labels))}"


def order_labels(id2label: Mapping[str, str], stated: str | None) -> LabelOrder:
    """The order the operator states (`human,voicemail`), else the one the model's config names.

    Raises ModelUnusable unless there are exactly two outputs, 0 and 1, that are one of each; names of the LABEL_0 kind
    give the order human, voicemail as `ASSUMED`.
    """
    if set(id2label) != {"0", "1"}:
        raise ModelUnusable(
            f"the model has {len(id2label)} labels {dict(id2label)}, not two at the indexes 0 and 1: it is no "
            "human/voicemail classifier. Set AMD_MODEL to one"
        )
    if stated is not None:
        return LabelOrder(_both(stated.split(","), f"AMD_LABELS={stated}"), LabelSource.SETTINGS)
    names = [id2label["0"], id2label["1"]]
    if all(label_of(name) is None for name in names):
        return LabelOrder((Label.HUMAN, Label.VOICEMAIL), LabelSource.ASSUMED)
    return LabelOrder(_both(names, f"the model's labels {names}"), LabelSource.CONFIG)


def label_of(name: str) -> Label | None:
    """The label a known spelling means."""
    plain = "".join(character for character in name.casefold() if character.isalnum())
    if plain in HUMAN_NAMES:
        return Label.HUMAN
    return Label.VOICEMAIL if plain in VOICEMAIL_NAMES else None


def _both(names: Sequence[str], whose: str) -> tuple[Label, Label]:
    labels = [label_of(name) for name in names]
    if labels == [Label.HUMAN, Label.VOICEMAIL]:
        return Label.HUMAN, Label.VOICEMAIL
    if labels == [Label.VOICEMAIL, Label.HUMAN]:
        return Label.VOICEMAIL, Label.HUMAN
    raise ModelUnusable(
        f"{whose} cannot be read as one human and one voicemail label. Say which index is which: set "
        "AMD_LABELS=human,voicemail when index 0 is human, AMD_LABELS=voicemail,human when index 0 is voicemail"
    )
