"""Text → sound, by the engines' own command lines. Needs no network and no GPU."""

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
from amd_service.lab.synthesis.lines import Line
from amd_service.lab.synthesis.voices import Engine

APT_LINE = "apt-get install espeak-ng flite festival festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts"
RATE_HZ = 8000
_PROGRAMS = {Engine.ESPEAK: "espeak-ng", Engine.FLITE: "flite", Engine.FESTIVAL: "festival"}
_FESTIVAL_VOICES = Path("/usr/share/festival/voices")
_FESTIVAL_BATCH = 60  # utterances a process: long enough to pay for its start, short enough to share out

Sound = NDArray[np.float32]


def require_engines(lines: Iterable[Line]) -> None:
    """Raises ConfigurationError naming the install line when an engine or voice that `lines` needs is missing."""
    for voice in {line.voice for line in lines}:
        if shutil.which(_PROGRAMS[voice.engine]) is None:
            raise ConfigurationError(f"{_PROGRAMS[voice.engine]} is not installed: {APT_LINE}")
        if voice.engine is Engine.FESTIVAL and not any(_FESTIVAL_VOICES.glob(f"*/{voice.name}")):
            raise ConfigurationError(f"festival voice {voice.name} is not installed: {APT_LINE}")


def render(lines: Sequence[Line], *, jobs: int = 2, max_s: float = 8.0) -> Iterator[Sound]:
    """The sound of each line, in order: mono float32 at 8 kHz, outer silence cut off, at most `max_s` seconds.

    Raises ConfigurationError when an engine is missing or refuses a line.
    """
    require_engines(lines)
    with ThreadPoolExecutor(jobs) as pool:
        for group in pool.map(_render_group, _groups(lines)):
            for sound, rate_hz in group:
                yield _finish(sound, rate_hz, max_s)


def _groups(lines: Sequence[Line]) -> list[Sequence[Line]]:
    """Neighbours of one festival voice together, everything else alone."""
    groups: list[list[Line]] = []
    for line in lines:
        last = groups[-1] if groups else []
        joins = last and line.voice.engine is Engine.FESTIVAL and last[0].voice == line.voice
        if joins and len(last) < _FESTIVAL_BATCH:
            last.append(line)
        else:
            groups.append([line])
    return list(groups)


def _render_group(lines: Sequence[Line]) -> list[tuple[Sound, int]]:
    match lines[0].voice.engine:
        case Engine.FESTIVAL:
            return _festival(lines)
        case Engine.FLITE:
            return [_flite(line) for line in lines]
        case Engine.ESPEAK:
            return [_espeak(line) for line in lines]


def _run(command: Sequence[str], text: str | None = None) -> bytes:
    try:
        return subprocess.run(  # noqa: S603 - fixed programs, texts of our own
            command, input=None if text is None else text.encode(), capture_output=True, check=True, timeout=300
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigurationError(f"{command[0]} failed: {error}; check the installation: {APT_LINE}") from error


def _espeak(line: Line) -> tuple[Sound, int]:
    voice = f"{line.accent}+{line.voice.name}"
    pitch = str(round(50 * line.pitch))
    return _read(
        _run(["espeak-ng", "-v", voice, "-s", str(round(165 * line.rate)), "-p", pitch, "--stdout", line.text])
    )


def _flite(line: Line) -> tuple[Sound, int]:
    with tempfile.NamedTemporaryFile(suffix=".wav") as out:
        stretch = f"duration_stretch={1 / line.rate:.3f}"
        _run(["flite", "-voice", line.voice.name, "--setf", stretch, "-t", line.text, "-o", out.name])
        return _read(Path(out.name).read_bytes())


def _festival(lines: Sequence[Line]) -> list[tuple[Sound, int]]:
    """One festival process says all the lines, all of one voice; it reads Latin-1 Scheme from a file."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{index}.wav" for index in range(len(lines))]
        script = Path(folder) / "say.scm"
        steps = [f"(voice_{lines[0].voice.name})"]
        for line, path in zip(lines, paths, strict=True):
            steps.append(f"(Parameter.set 'Duration_Stretch {1 / line.rate:.3f})")
            steps.append(f'(utt.save.wave (utt.synth (Utterance Text "{line.text}")) "{path}" \'riff)')
        script.write_text("\n".join(steps), encoding="latin-1")
        _run(["festival", "-b", str(script)])
        return [_read(path.read_bytes()) for path in paths]


def _read(data: bytes) -> tuple[Sound, int]:
    # espeak-ng cannot seek in a pipe, so its header claims 2 GiB; libsndfile reads what is there.
    sound, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    return sound[:, 0], rate_hz


def _finish(sound: Sound, rate_hz: int, max_s: float) -> Sound:
    narrow: Sound = soxr.resample(sound, rate_hz, RATE_HZ, quality="HQ").astype(np.float32)
    loud = np.flatnonzero(np.abs(narrow) > 0.02 * max(float(np.abs(narrow).max(initial=0.0)), 1e-6))
    if loud.size:
        narrow = narrow[max(0, loud[0] - 80) : loud[-1] + 240]
    return narrow[: round(max_s * RATE_HZ)]
