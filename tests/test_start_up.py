"""Warnings at the start of a process."""

import pytest

from amd_service.detection.audio.input import AudioInput
from amd_service.detection.classifier.request_queue import Priority
from amd_service.errors import ClassifierUnavailable, ConfigurationError
from amd_service.runtime import open_runtime
from amd_service.settings import Settings
from amd_service.web import server
from tests.support.fixture_calls import HUMAN

pytestmark = pytest.mark.anyio


async def said_at_start(capfd: pytest.CaptureFixture[str], database_url: str, **settings: object) -> str:
    given = Settings(_env_file=None, database_url=database_url, model="/nowhere", **settings)  # type: ignore[arg-type]
    async with open_runtime(given, with_worker=False):
        return "".join(capfd.readouterr())


async def test_a_service_without_credentials_warns_at_the_start(
    database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "every callback will be refused" in await said_at_start(capfd, database_url)


async def test_a_process_without_the_model_names_the_cure_when_it_is_asked_for_a_verdict(database_url: str) -> None:
    given = Settings(_env_file=None, database_url=database_url, model="/nowhere")
    async with open_runtime(given, with_worker=False, with_model=False) as runtime:
        assert runtime.classifier_report()["phase"] == "stopped"
        assert runtime.metrics.registry.get_sample_value("amd_classifier_ready") is None
        audio = AudioInput(data=HUMAN, content_type="audio/wav", channel=None, one_sided=True)
        with pytest.raises(ClassifierUnavailable, match="--no-model"):
            await runtime.detector.judge(audio, priority=Priority.INTERACTIVE)


@pytest.mark.parametrize(
    ("with_worker", "live", "message"),
    [(True, False, "--no-model needs --no-worker"), (False, True, "AMD_LIVE=true needs the model")],
)
async def test_a_part_that_needs_the_model_is_refused_without_it(with_worker: bool, live: bool, message: str) -> None:
    given = Settings(_env_file=None, live=live)
    with pytest.raises(ConfigurationError, match=message):
        await server.serve(given, with_worker=with_worker, with_model=False)
