"""Text that libmpg123 writes to stderr does not reach the log, and no line of the log is lost."""

import io
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import soundfile

from amd_service.detection.audio.c_stderr import c_stderr
from amd_service.detection.audio.decode import decode
from amd_service.errors import Undecodable
from tests.support.signals import file_of, noise

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only the GNU C library allows programs to set stderr")

PLAIN = file_of(noise(2.0, -20), form="MP3", subtype="MPEG_LAYER_III")
# The frame headers stay intact, so that the decoder gets the damaged frames.
DAMAGED = re.sub(
    rb"(\xff\xe3.{6})(.{60})", lambda found: found[1] + bytes(255 - byte for byte in found[2]), PLAIN, flags=re.DOTALL
)


def decode_damaged(_number: int = 0) -> None:
    try:
        decode(DAMAGED)
    except Undecodable:
        pytest.fail("the damaged file must reach the decoder")


def write_as_libmpg123() -> None:
    """Decode without the service, so that libmpg123 writes to stderr."""
    soundfile.read(io.BytesIO(DAMAGED))


def test_a_damaged_mp3_writes_nothing_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    decode_damaged()
    assert capfd.readouterr().err == ""
    write_as_libmpg123()
    assert "libmpg123" in capfd.readouterr().err


def test_the_log_keeps_all_lines_while_threads_decode(capfd: pytest.CaptureFixture[str]) -> None:
    lines = [f"line {number}" for number in range(300)]
    with ThreadPoolExecutor(4) as threads:
        decoding = threads.map(decode_damaged, range(40))
        for line in lines:
            os.write(2, f"{line}\n".encode())
        list(decoding)
    assert capfd.readouterr().err.splitlines() == lines


def test_c_code_writes_to_stderr_again_after_the_last_thread_has_finished(capfd: pytest.CaptureFixture[str]) -> None:
    with c_stderr().discarded():
        with c_stderr().discarded():
            write_as_libmpg123()
        write_as_libmpg123()
    assert capfd.readouterr().err == ""
    write_as_libmpg123()
    assert "libmpg123" in capfd.readouterr().err
