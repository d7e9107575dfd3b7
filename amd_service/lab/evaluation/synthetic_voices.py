"""Writes a dataset of computer voices that no training uses.

`python -m amd_service.lab.evaluation.synthetic_voices FOLDER` writes it for `amd-service evaluate`. The column
`group` is the voice, and the column `engine` its speech engine.
"""

import argparse
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import soundfile

from amd_service.domain import Waveform
from amd_service.lab.command import run
from amd_service.lab.dataset.audio_folder import write_manifest, write_metadata
from amd_service.lab.dataset.audio_store import as_pcm
from amd_service.lab.dataset.labelled_files import LabelledFile
from amd_service.lab.dataset.whole_files import write_bytes
from amd_service.lab.synthesis.corpus import CACHE, Corpus, load_corpus
from amd_service.lab.synthesis.examples import draw_recordings
from amd_service.lab.synthesis.render import RATE_HZ
from amd_service.lab.synthesis.voices import Split

SECONDS = 8.0


def wav_bytes(waveform: Waveform) -> bytes:
    """Return a waveform as a mono WAV file, PCM 16 bit."""
    out = BytesIO()
    soundfile.write(out, as_pcm(waveform), waveform.rate_hz, format="WAV", subtype="PCM_16")
    return out.getvalue()


def write_dataset(folder: Path, corpus: Corpus, *, count: int, seed: int, split: Split = Split.TEST) -> None:
    """Write `count` recordings by the voices of the split, half of each label. Raises DatasetUnusable."""
    files = []
    for number, (call_start, heard) in enumerate(draw_recordings(corpus, split, SECONDS, seed, count)):
        path = folder / f"{number:05}.wav"
        write_bytes(path, wav_bytes(Waveform(heard, RATE_HZ)))
        voice = call_start.voice
        group, engine = (voice.speaker, str(voice.engine)) if voice else (None, "")
        files.append(
            LabelledFile(
                path, str(call_start.label), group=group, language=call_start.language, columns={"engine": engine}
            )
        )
    write_metadata(folder, files)
    write_manifest(folder, {"source": "synthetic voices", "split": str(split), "seed": seed, "recordings": count})


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=800)
    parser.add_argument("--seed", type=int, default=7, help="seed of the corpus and of the recordings")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the planned utterances in the corpus")
    parser.add_argument("--cache", type=Path, default=CACHE)
    options = parser.parse_args(arguments)
    corpus = load_corpus(options.seed, scale=options.scale, splits=(Split.TEST,), cache=options.cache)
    write_dataset(options.folder, corpus, count=options.count, seed=options.seed)


if __name__ == "__main__":
    run(main)
