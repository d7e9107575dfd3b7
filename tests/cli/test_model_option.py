"""`--model` of `classify`, `evaluate` and `train`."""

import pytest

from amd_service.cli.process import load_settings_and_logging
from tests.support.log_configuration import restored_logging


def test_revision_and_labels_of_the_environment_describe_only_its_own_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMD_MODEL", "owner/production")
    monkeypatch.setenv("AMD_MODEL_REVISION", "0" * 40)
    monkeypatch.setenv("AMD_LABELS", "voicemail,human")
    with restored_logging():
        other = load_settings_and_logging(quiet=True, model="my-model")
        configured = load_settings_and_logging(quiet=True, model=None)
    assert (other.model, other.model_revision, other.labels) == ("my-model", None, None)
    assert (configured.model, configured.labels) == ("owner/production", "voicemail,human")
