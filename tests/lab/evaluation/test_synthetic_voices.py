from pathlib import Path

from amd_service.lab.dataset.audio_folder import read_folder
from amd_service.lab.evaluation.synthetic_voices import write_dataset
from amd_service.lab.synthesis.corpus import Corpus


def test_the_recordings_are_a_dataset_that_evaluate_reads(small_corpus: Corpus, tmp_path: Path) -> None:
    write_dataset(tmp_path, small_corpus, count=6, seed=1)
    dataset = read_folder(tmp_path)
    assert [file.label for file in dataset.files] == ["human", "voicemail"] * 3
    assert all(file.group and file.language and file.columns["engine"] for file in dataset.files)
    waveform = dataset.files[0].waveform(max_ms=20_000)
    assert waveform.rate_hz == 8000
    assert waveform.duration_ms >= 8000


def test_the_same_seed_gives_the_same_recordings(small_corpus: Corpus, tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_dataset(tmp_path / name, small_corpus, count=2, seed=3)
    first, second = ((tmp_path / name / "00001.wav").read_bytes() for name in ("first", "second"))
    assert first == second
