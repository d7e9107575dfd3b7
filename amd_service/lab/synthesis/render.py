"""Renders utterances to audio with the engines' command-line programs. The rendering needs no network and no GPU."""

import io
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from amd_service.errors import ConfigurationError
from amd_service.lab.synthesis.utterances import Utterance
from amd_service.lab.synthesis.voices import Engine

INSTALL_COMMAND = (
    "apt-get install espeak-ng flite festival festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts festvox-italp16k "
    "festvox-itapc16k festvox-czech-ph festvox-czech-dita festvox-czech-machac festvox-suopuhe-lj festvox-suopuhe-mv "
    "festvox-ru"
)
RATE_HZ = 8000
_PROGRAMS = {Engine.ESPEAK: "espeak-ng", Engine.FLITE: "flite", Engine.FESTIVAL: "festival"}
_FESTIVAL_VOICES = Path("/usr/share/festival/voices")
# Utterances per process: many enough to amortise the start of the process, few enough to use all workers.
_FESTIVAL_BATCH = 60
# festival's modules for the other languages read Latin-1.
_FESTIVAL_ENCODINGS = {"cs": "iso-8859-2", "ru": "utf-8"}

Sound = NDArray[np.float32]


def require_engines(utterances: Iterable[Utterance]) -> None:
    """Raise ConfigurationError with the install command when an engine or voice of `utterances` is missing."""
    for voice in {utterance.voice for utterance in utterances}:
        if shutil.which(_PROGRAMS[voice.engine]) is None:
            raise ConfigurationError(f"{_PROGRAMS[voice.engine]} is not installed: {INSTALL_COMMAND}")
        if voice.engine is Engine.FESTIVAL and not any(_FESTIVAL_VOICES.glob(f"*/{voice.name}")):
            raise ConfigurationError(f"festival voice {voice.name} is not installed: {INSTALL_COMMAND}")


def render(utterances: Sequence[Utterance], *, jobs: int = 2, max_s: float = 8.0) -> Iterator[Sound]:
    """Return the sound of each utterance, in order: mono float32 at 8 kHz, trimmed of silence, at most `max_s` seconds.

    Raises ConfigurationError when an engine is missing or fails.
    """
    require_engines(utterances)
    with ThreadPoolExecutor(jobs) as pool:
        sounds = (sound for group in pool.map(_render_group, _groups(utterances)) for sound in group)
        for utterance, (sound, rate_hz) in zip(utterances, sounds, strict=True):
            # Playing faster or slower moves the formants. The engine has already corrected the rate and the pitch.
            yield _finish(sound, rate_hz * utterance.formants, max_s)


def _groups(utterances: Sequence[Utterance]) -> list[Sequence[Utterance]]:
    """Group consecutive utterances of one festival voice. Every other utterance is a group of one."""
    groups: list[list[Utterance]] = []
    for utterance in utterances:
        last = groups[-1] if groups else []
        joins = last and utterance.voice.engine is Engine.FESTIVAL and last[0].voice == utterance.voice
        if joins and len(last) < _FESTIVAL_BATCH:
            last.append(utterance)
        else:
            groups.append([utterance])
    return list(groups)


def _render_group(utterances: Sequence[Utterance]) -> list[tuple[Sound, int]]:
    match utterances[0].voice.engine:
        case Engine.FESTIVAL:
            return _festival(utterances)
        case Engine.FLITE:
            return [_flite(utterance) for utterance in utterances]
        case Engine.ESPEAK:
            return [_espeak(utterance) for utterance in utterances]


def _run(command: Sequence[str], text: str | None = None) -> bytes:
    try:
        return subprocess.run(  # noqa: S603 - fixed programs, this project's texts
            command, input=None if text is None else text.encode(), capture_output=True, check=True, timeout=300
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigurationError(f"{command[0]} failed ({error}): check the installation: {INSTALL_COMMAND}") from error


def _espeak(utterance: Utterance) -> tuple[Sound, int]:
    voice = f"{utterance.accent}+{utterance.voice.name}"
    words_per_minute = str(round(165 * utterance.rate / utterance.formants))
    pitch = str(round(50 * utterance.pitch / utterance.formants))
    return _read(_run(["espeak-ng", "-v", voice, "-s", words_per_minute, "-p", pitch, "--stdout", utterance.text]))


def _flite(utterance: Utterance) -> tuple[Sound, int]:
    with tempfile.NamedTemporaryFile(suffix=".wav") as out:
        stretch = f"duration_stretch={utterance.formants / utterance.rate:.3f}"
        _run(["flite", "-voice", utterance.voice.name, "--setf", stretch, "-t", utterance.text, "-o", out.name])
        return _read(Path(out.name).read_bytes())


def _festival(utterances: Sequence[Utterance]) -> list[tuple[Sound, int]]:
    """Render utterances of one voice in one festival process, which reads Scheme from a file."""
    encoding = _FESTIVAL_ENCODINGS.get(utterances[0].language, "latin-1")
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{index}.wav" for index in range(len(utterances))]
        script = Path(folder) / "say.scm"
        steps = [f"(voice_{utterances[0].voice.name})"]
        for utterance, path in zip(utterances, paths, strict=True):
            steps.append(f"(Parameter.set 'Duration_Stretch {utterance.formants / utterance.rate:.3f})")
            steps.append(f'(utt.save.wave (utt.synth (Utterance Text "{utterance.text}")) "{path}" \'riff)')
        script.write_text("\n".join(steps), encoding=encoding)
        _run(["festival", "-b", str(script)])
        return [_read(path.read_bytes()) for path in paths]


def _read(data: bytes) -> tuple[Sound, int]:
    # espeak-ng cannot seek in a pipe, so its header declares 2 GiB. libsndfile reads only the available bytes.
    sound, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    return sound[:, 0], rate_hz


def _finish(sound: Sound, rate_hz: float, max_s: float) -> Sound:
    narrow: Sound = soxr.resample(sound, rate_hz, RATE_HZ, quality="HQ").astype(np.float32)
    loud = np.flatnonzero(np.abs(narrow) > 0.02 * max(float(np.abs(narrow).max(initial=0.0)), 1e-6))
    if loud.size:
        narrow = narrow[max(0, loud[0] - 80) : loud[-1] + 240]
    return narrow[: round(max_s * RATE_HZ)]
