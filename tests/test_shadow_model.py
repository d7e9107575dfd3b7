"""A running process with a shadow model."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from amd_service.database.pool import Database
from amd_service.runtime import Runtime, open_runtime
from amd_service.settings import Account, Settings
from amd_service.simulator.twilio.media_host import MediaFile
from tests.support.deliveries import call_row, deliver, recording, verdict_rows
from tests.support.detectors import speech
from tests.support.models import build_model
from tests.support.sids import ACCOUNT, RECORDING
from tests.support.signals import file_of
from tests.support.simulated_twilio import watched_simulated_twilio
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def running(database_url: str, folder: Path, shadow: Path) -> AsyncIterator[Runtime]:
    """A process with a worker and two models, and a recording that Twilio serves."""
    async with watched_simulated_twilio(
        Account.model_validate({"account_sid": ACCOUNT, "auth_tokens": ["token"]})
    ) as twilio:
        twilio.media.files[RECORDING] = MediaFile(file_of(speech(3.0)))
        settings = Settings(
            _env_file=None,
            database_url=database_url,
            model=str(folder),
            shadow_model=str(shadow),
            golden="warn",
            threads=1,
            min_confidence=0.51,
            twilio_api_url=twilio.url,
            twilio_account_sid=ACCOUNT,
            twilio_auth_token=["token"],
        )
        async with open_runtime(settings, with_worker=True) as runtime:
            yield runtime


def sample(runtime: Runtime, name: str, **labels: Any) -> float | None:
    return runtime.metrics.registry.get_sample_value(name, labels)


async def test_both_models_judge_a_recording_and_only_the_first_one_decides(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    first, second = build_model(tmp_path / "first"), build_model(tmp_path / "second", names=("voicemail", "human"))
    async with running(database_url, first, second) as runtime:
        await until(lambda: sample(runtime, "amd_shadow_ready") == 1)
        await deliver(database, recording("completed", track="inbound", channels=1))
        await until(lambda: sample(runtime, "amd_shadow_verdicts_total", outcome="stored") == 1)
        # The runs of the shadow model are not among the figures of the first model.
        assert sample(runtime, "amd_stage_seconds_count", stage="score") == 1
    live, *shadow = await verdict_rows(database)
    assert (live.source, live.model_id, live.decided) == ("recording", str(first), True)
    assert {(row.source, row.model_id, row.decided) for row in shadow} == {("shadow", str(second), False)}
    # The second model has the same weights, and the names of its outputs are swapped.
    assert {live.label, shadow[-1].label} == {"human", "voicemail"}
    assert (await call_row(database)).label == live.label


async def test_a_shadow_model_that_cannot_be_loaded_leaves_the_service_ready(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with capture_logs() as logs:
        async with running(database_url, build_model(tmp_path / "first"), tmp_path / "empty") as runtime:
            await until(lambda: "shadow model not usable, its runs are skipped" in [line["event"] for line in logs])
            assert runtime.detector.is_ready
            await deliver(database, recording("completed", track="inbound", channels=1))
            await until(lambda: sample(runtime, "amd_shadow_verdicts_total", outcome="not_ready") == 1)
    assert (await call_row(database)).label is not None
    assert [row.source for row in await verdict_rows(database)] == ["recording"]
    assert not [line for line in logs if line["log_level"] == "error"]
