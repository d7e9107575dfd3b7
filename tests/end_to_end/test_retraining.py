"""The lab from labelled recordings to a better model that judges calls, with the commands that a user types."""

import asyncio
import json
import os
import wave
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from transformers import Wav2Vec2Config

from amd_service.simulator.service_process import COMMAND
from amd_service.simulator.twilio.media_host import MediaFile
from tests.support.detectors import speech
from tests.support.scene import DEADLINE_S, Scene, read_call, until_state
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(300)]

LABELS = ("human", "voicemail")
VOICES = 20
RATE_HZ = 8000


def recording_of(label: str, voice: int) -> bytes:
    """A call start, 8 kHz WAV: a person says a short word and listens, a voicemail goes on speaking."""
    rng = np.random.default_rng(voice)
    spoken_s = rng.uniform(0.5, 0.8) if label == "human" else 4.0
    sound = np.concatenate([np.zeros(2400), speech(spoken_s)[::2], np.zeros(RATE_HZ * 5)])[: RATE_HZ * 5]
    sound = sound * rng.uniform(0.3, 1.0) + rng.normal(0, 0.001, len(sound))
    file = BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(RATE_HZ)
        written.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()


def lay_out_recordings(folder: Path) -> Path:
    """Recordings in a sub-folder per label, with the voices in metadata.csv."""
    rows = ["file_name,label,voice,language"]
    for voice in range(VOICES):
        for label in LABELS:
            name = f"{label}/voice-{voice}.wav"
            (folder / label).mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(recording_of(label, voice))
            rows.append(f"{name},{label},voice-{voice},en")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")
    return folder


def write_tiny_config(folder: Path) -> Path:
    config = Wav2Vec2Config(
        vocab_size=32,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        conv_dim=(16, 16, 32),
        conv_kernel=(160, 5, 5),
        conv_stride=(80, 2, 2),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        classifier_proj_size=16,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        id2label={0: "human", 1: "voicemail"},
        label2id={"human": 0, "voicemail": 1},
    )
    config.architectures = ["Wav2Vec2ForSequenceClassification"]
    config.save_pretrained(folder)
    return folder / "config.json"


async def run_command(*arguments: object, **settings: str) -> dict[str, Any]:
    """Run a command of the service with --json and return its document."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *map(str, arguments),
        "--json",
        env={**os.environ, "AMD_THREADS": "1", "AMD_MODEL": "demo", **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    assert process.returncode == 0, f"{arguments}\n{out.decode()}\n{errors.decode()}"
    document: dict[str, Any] = json.loads(out)
    return document


async def judge_with_two_models(scene: Scene, model: str, shadow: str) -> dict[str, dict[str, Any]]:
    """Report one call of each label to a service with both models. Returns the judged calls by true label."""
    async with scene.run_service((*COMMAND, "serve"), model=model, shadow_model=shadow, threads=1) as service:
        await service.wait_until_alive()

        async def is_shadow_ready() -> bool:
            async with httpx2.AsyncClient(trust_env=False) as client:
                return "amd_shadow_ready 1.0" in (await client.get(f"{service.url}/metrics")).text

        await until(is_shadow_ready, timeout_s=DEADLINE_S)
        calls = {}
        for label in LABELS:
            sid = await scene.report_ended_call(service, MediaFile(recording_of(label, VOICES)))
            calls[label] = await until_state(service, sid, "judged")

            async def has_shadow_run(sid: str = sid) -> bool:
                return bool((await read_call(service, sid))["shadow_runs"])

            await until(has_shadow_run, timeout_s=DEADLINE_S)
        return calls


async def test_labelled_recordings_become_a_model_that_judges_calls(scene: Scene, tmp_path: Path) -> None:
    recordings, data, model = lay_out_recordings(tmp_path / "recordings"), tmp_path / "data", tmp_path / "model"
    source = ("--from-folder", recordings, "--group-by", "voice", "--split", "50,15,35")
    assert (await run_command("dataset", "build", data, *source))["files"] == 2 * VOICES

    how = ("--no-augment", "--epochs", 40, "--learning-rate", "3e-3", "--batch-size", 12, "--threads", 1)
    trained = await run_command("train", data, "--out", model, "--scratch", write_tiny_config(tmp_path), *how)
    assert trained["parts"]["test"] > 0

    evaluated = await run_command("evaluate", data, "--model", model)
    assert evaluated["model"]["figures"]["right"]["share"] >= 0.8

    promoted = await run_command("model", "promote", model, "--data", data, "--min-accuracy", "0.8", "--min-clips", 5)
    assert promoted["change_back"] == "AMD_MODEL=demo"
    name, _, value = promoted["change"].partition("=")
    assert name == "AMD_MODEL"

    calls = await judge_with_two_models(scene, model=value, shadow="demo")
    # A tiny model may be unsure about a voice that it has not heard.
    assert all(call["label"] in (truth, "undecided") for truth, call in calls.items())
    assert {call["model_id"] for call in calls.values()} == {value}

    compared = await run_command("model", "compare", "--since", "1h", AMD_DATABASE_URL=scene.database_url)
    assert (compared["model"]["id"], compared["calls"]) == ("demo", 2)
