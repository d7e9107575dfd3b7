"""A dataset folder made of fixture calls."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

CALLS = Path(__file__).parents[2] / "fixtures" / "calls"
# The true label of calls that the demonstration model judges correctly.
LABELS: Mapping[str, str] = {
    "01-human-hello": "human",
    "03-human-hello-twice": "human",
    "04-human-spanish": "human",
    "07-voicemail-carrier": "voicemail",
    "08-voicemail-personal": "voicemail",
    "11-voicemail-french": "voicemail",
}


def lay_out_calls(folder: Path, labels: Mapping[str, str] = LABELS, *, unreadable: Sequence[str] = ()) -> Path:
    """Copy recordings into `folder` with a metadata.csv. `unreadable`: names of files that contain no audio."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["file_name,label,group,language"]
    for name, label in labels.items():
        shutil.copy(CALLS / name / "recording.wav", folder / f"{name}.wav")
        rows.append(f"{name}.wav,{label},caller-{name[:2]},{'en' if name < '04' else 'xx'}")
    for name in unreadable:
        (folder / name).write_text("no audio")
        rows.append(f"{name},human,caller-{name},en")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")
    return folder
