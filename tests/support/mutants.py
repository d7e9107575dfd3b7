"""Damaged audio files, and a child process that decodes them: `python -m tests.support.mutants SEED FIRST COUNT`.

The child prints the number of each file before it decodes the file. So if the decoder crashes, the last number is the
file that crashed it. `mutant(seed, number)` makes the same file again.
"""

import re
import struct
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from amd_service.detection.audio.decode import can_decode, decode, has_seconds
from amd_service.detection.audio.ogg import checksum
from amd_service.errors import Undecodable
from tests.support.signals import file_of, noise, tone

MAX_CPU_S = 1.0
MAX_MEMORY_MB = 100
FORMS = [
    ("WAV", "PCM_U8"),
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "PCM_32"),
    ("WAV", "FLOAT"),
    ("WAV", "DOUBLE"),
    ("WAV", "ULAW"),
    ("WAV", "ALAW"),
    ("WAVEX", "PCM_16"),
    ("RF64", "PCM_16"),
    ("MP3", "MPEG_LAYER_III"),
    ("MP3", "MPEG_LAYER_III"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("AU", "ULAW"),
    ("AU", "PCM_16"),
    ("AU", "FLOAT"),
    ("AU", "G721_32"),
    ("AIFF", "PCM_16"),
    ("AIFF", "ULAW"),
    ("AIFF", "IMA_ADPCM"),
    ("AIFF", "GSM610"),
    ("CAF", "PCM_16"),
    ("CAF", "FLOAT"),
    ("CAF", "ALAC_16"),
]
CONTENT_TYPES = [None, "audio/basic", "audio/L16;rate=8000", "audio/mpeg"]
SIZES = [0, 1, 3, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0xFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF]
Random = np.random.Generator


def mutant(seed: int, number: int) -> tuple[bytes, str | None]:
    """The damaged file `number` of a run, with a content type."""
    rng = np.random.default_rng([seed, number])
    data = bytearray(_source(number % len(FORMS), int(rng.integers(2)), [8_000, 16_000, 48_000][rng.integers(3)]))
    for _ in range(rng.integers(1, 4)):
        MUTATIONS[rng.integers(len(MUTATIONS))](data, rng)
    if rng.integers(2):
        _correct_checksums(data)
    return bytes(data), CONTENT_TYPES[rng.integers(len(CONTENT_TYPES))]


@cache
def _source(form: int, stereo: int, rate_hz: int) -> bytes:
    name, subtype = FORMS[form]
    channels = 1 if subtype in ("G721_32", "GSM610") else 1 + stereo
    samples = tone((300.0, 700.0), 1.0) + noise(1.0, -40)
    return file_of(np.stack([samples] * channels, axis=1), rate_hz=rate_hz, form=name, subtype=subtype)


def _flip_bits(data: bytearray, rng: Random) -> None:
    # Half of the damage is in the header, where it does most harm.
    end = min(len(data), 200) if rng.integers(2) else len(data)
    for at in rng.integers(0, max(end, 1), rng.integers(1, 20)):
        if at < len(data):
            data[at] ^= 1 << int(rng.integers(8))


def _truncate(data: bytearray, rng: Random) -> None:
    del data[int(rng.integers(len(data) + 1)) :]


def _edit_size(data: bytearray, rng: Random) -> None:
    at = int(rng.integers(0, max(1, min(len(data), 300))))
    size = SIZES[rng.integers(len(SIZES))]
    data[at : at + 4] = struct.pack("<I" if rng.integers(2) else ">I", size)


def _insert(data: bytearray, rng: Random) -> None:
    at = int(rng.integers(len(data) + 1))
    data[at:at] = rng.bytes(int(rng.integers(1, 600)))


def _delete(data: bytearray, rng: Random) -> None:
    at = int(rng.integers(len(data) + 1))
    del data[at : at + int(rng.integers(1, 600))]


def _duplicate(data: bytearray, rng: Random) -> None:
    start, at = (int(rng.integers(len(data) + 1)) for _ in range(2))
    data[at:at] = data[start : start + int(rng.integers(1, 3000))]


def _swap_header(data: bytearray, rng: Random) -> None:
    size = int(rng.integers(4, 120))
    data[:size] = _source(int(rng.integers(len(FORMS))), 0, 8_000)[:size]


def _fill(data: bytearray, rng: Random) -> None:
    at, size = int(rng.integers(len(data) + 1)), int(rng.integers(1, 2000))
    data[at : at + size] = bytes([rng.choice([0, 0xFF, 0x7F])]) * len(data[at : at + size])


MUTATIONS: list[Callable[[bytearray, Random], None]] = [
    *(_flip_bits, _truncate, _edit_size, _insert, _delete, _duplicate, _swap_header, _fill)
]


def _correct_checksums(data: bytearray) -> None:
    """Correct the checksums of Ogg pages, because the service drops pages with a wrong checksum."""
    at = data.find(b"OggS")
    while at >= 0 and at + 27 <= len(data):
        end = at + 27 + data[at + 26] + sum(data[at + 27 : at + 27 + data[at + 26]])
        if end <= len(data):
            data[at + 22 : at + 26] = checksum(bytes(data[at:end])).to_bytes(4, "little")
        at = data.find(b"OggS", at + 4)


def decode_in_child(seed: int, first: int, count: int) -> None:
    """Decode damaged files in a child process. Fails with the number of the file, the reason and the seed."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", __name__, str(seed), str(first), str(count)]
    child = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    # libsndfile prints warnings about damaged ALAC files to the standard output.
    numbers = re.findall(r"file (\d+)\n", child.stdout)
    assert child.returncode == 0, f"seed {seed}, file {numbers[-1:]}, exit code {child.returncode}:\n{child.stderr}"
    assert numbers == [str(number) for number in range(first, first + count)]
    assert child.stderr == "", f"seed {seed}: the decoder wrote to stderr"


def _main(seed: int, first: int, count: int) -> int:
    unraisable: list[object] = []
    sys.unraisablehook = unraisable.append
    failures = 0
    for number in range(first, first + count):
        sys.stdout.write(f"file {number}\n")
        sys.stdout.flush()
        data, content_type = mutant(seed, number)
        problem = _problem_with(data, content_type) or (
            f"exception in a callback: {unraisable}" if unraisable else None
        )
        unraisable.clear()
        if problem:
            failures += 1
            sys.stderr.write(f"file {number} ({FORMS[number % len(FORMS)]}, {content_type}): {problem}\n")
    return 1 if failures else 0


def _problem_with(data: bytes, content_type: str | None) -> str | None:
    before_mb = _restart_memory_peak()
    started = time.process_time()
    try:
        can_decode(data, content_type)
        has_seconds(data, 20.0)
        tracks = decode(data, content_type=content_type, max_s=20.0)
        assert tracks.samples.shape[1] <= 20 * tracks.rate_hz
        assert np.abs(tracks.samples).max(initial=0.0) <= 1
    except Undecodable:
        pass
    except Exception:  # noqa: BLE001 - each other exception is what the test looks for
        return traceback.format_exc()
    used_s, used_mb = time.process_time() - started, _memory_mb("VmHWM") - before_mb
    if used_s > MAX_CPU_S or used_mb > MAX_MEMORY_MB:
        return f"{used_s:.2f} s of processor time, {used_mb:.0f} MB"
    return None


def _restart_memory_peak() -> float:
    """Make the kernel forget the highest memory use of this process. Returns the current memory use in MB."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # man 5 proc_pid_clear_refs
    return _memory_mb("VmRSS")


def _memory_mb(name: str) -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(status.partition(f"{name}:")[2].split(maxsplit=1)[0]) / 1024


if __name__ == "__main__":
    sys.exit(_main(*map(int, sys.argv[1:4])))
