"""The commands that a new user runs first."""

import asyncio
import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from amd_service.simulator.service_process import COMMAND
from tests.support.scene import FIXTURES, Scene

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


async def run(*arguments: str, **environment: str) -> tuple[int | None, list[dict[str, Any]], str]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
        cwd=FIXTURES.parents[1],
    )
    out, err = await process.communicate()
    return process.returncode, [json.loads(line) for line in out.decode().splitlines()], err.decode()


async def test_the_demo_replays_every_recorded_call_and_each_ends_as_expected() -> None:
    code, lines, err = await run("demo", "--json")
    assert [line["call"] for line in lines if not line["matched"]] == [], err
    assert len(lines) >= 16
    assert code == 0


@pytest.mark.slow
async def test_the_live_demo_streams_calls_with_a_separate_called_party(tmp_path: Path) -> None:
    for folder in ("01-human-hello", "15-dual-callee-on-channel-2", "16-mono-of-both-parties", "21-silence"):
        (tmp_path / folder).symlink_to(FIXTURES / folder, target_is_directory=True)
    code, lines, err = await run("demo", str(tmp_path), "--live", "--pace", "8", "--json")
    assert [line["call"] for line in lines if not line["matched"]] == [], err
    # Without a verdict from the stream the recording decides. A mix of both parties is not streamed.
    sources = [line["live"] and line["live"]["source"] for line in lines]
    assert (code, sources) == (0, ["stream", "stream", None, "recording"])


@pytest.mark.slow
async def test_the_demo_can_stay_and_show_its_calls_until_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "01-human-hello").symlink_to(FIXTURES / "01-human-hello", target_is_directory=True)
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "demo", str(tmp_path), "--keep", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    lines = [line.decode() async for line in until_the_demo_stays(process.stderr)]
    (url,) = re.findall(r"Open (http://127\.0\.0\.1:\d+/calls)", "".join(lines))
    async with httpx2.AsyncClient(trust_env=False) as client:
        assert "+15005550101" in (await client.get(url, headers={"accept": "text/html"})).text
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0


async def until_the_demo_stays(stderr: asyncio.StreamReader) -> AsyncIterator[bytes]:
    async for line in stderr:
        yield line
        if b"Ctrl-C" in line:
            return


async def test_classify_prints_a_line_per_file_and_an_error_for_undecodable_files() -> None:
    files = sorted(str(path) for path in FIXTURES.glob("*/recording.*"))
    folders = sorted({str(Path(file).parent) for file in files if not file.endswith(".xml")})
    (xml,) = [file for file in files if file.endswith(".xml")]
    # With this threshold the first window is not enough for some recordings.
    code, lines, err = await run("classify", "--model", "demo", "--json", *folders, xml, AMD_MIN_CONFIDENCE="0.9")
    assert sorted(line["file"] for line in lines) == files
    labels = [line["label"] for line in lines]
    counts = ", ".join(f"{labels.count(label)} {label}" for label in ("human", "voicemail", "undecided"))
    assert f"{len(files)} files: {counts}, 1 error" in err.splitlines()
    assert [line["file"] for line in lines if line["error"]] == [file for file in files if file.endswith(".xml")]
    assert code == 1
    assert set(lines[0]) == {
        "file", "label", "confidence", "reason", "onset_ms", "window_start_ms", "window_ms", "scores", "runs", "model",
        "engine", "precision", "processing_time_ms", "evidence", "error",
    }  # fmt: skip
    assert {line["engine"] for line in lines if line["runs"]} == {"torch"}
    for line in lines:
        assert len(line["runs"]) <= 2
        if line["runs"]:
            assert line["runs"][-1]["scores"] == line["scores"]
    assert max(len(line["runs"]) for line in lines) == 2


async def test_an_unavailable_model_exits_2_with_a_one_line_error() -> None:
    code, lines, err = await run(
        "classify", "--model", "/nowhere", "--json", str(FIXTURES / "01-human-hello" / "recording.wav")
    )
    assert (code, lines) == (2, [])
    assert "AMD_MODEL" in err
    assert "Traceback" not in err


def test_help_imports_no_slow_packages() -> None:
    heavy = ["torch", "transformers", "sqlalchemy", "starlette", "numpy", "pydantic", "twilio"]
    script = f"import sys, amd_service.cli.main; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


async def test_a_process_without_the_model_imports_no_library_that_only_the_model_needs(
    scene: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    heavy = {"torch", "transformers", "onnxruntime", "openvino", "librosa", "scipy"}
    command = (sys.executable, "-X", "importtime", "-m", "amd_service", "serve", "--no-worker", "--no-model")
    async with scene.run_service(command) as service:
        await service.wait_until_alive()
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in capfd.readouterr().err.splitlines()}
    assert {"starlette", "sqlalchemy"} <= imported
    assert imported & heavy == set()


def test_help_takes_less_than_half_a_second_of_processor_time() -> None:
    # `make coverage` also measures child processes, which doubles their run time.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}

    def used_s() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def once() -> float:
        before = used_s()
        subprocess.run([*COMMAND, "--help"], capture_output=True, check=True, env=environment)
        return used_s() - before

    assert any(once() < 0.5 for _ in range(5))  # other processes on the machine can slow down a run
