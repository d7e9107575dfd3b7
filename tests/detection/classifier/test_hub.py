"""The model is found in a folder or in the cache of the hub, and a hub that cannot be reached is a temporary error."""

import errno
import shutil
from pathlib import Path

import httpx2
import huggingface_hub.constants
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from amd_service.detection.classifier import hub
from amd_service.detection.classifier.hub import Located, locate
from amd_service.detection.classifier.model import open_model, pull
from amd_service.errors import ClassifierUnavailable, ModelUnusable
from amd_service.settings import Settings

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_demo_is_the_model_that_ships() -> None:
    assert locate("demo", None) == Located("demo", hub.DEMO_FOLDER, None)


@pytest.mark.parametrize("model", ["./not/there", "/not/there", "nonsense", "../up", "a/b/c"])
def test_anything_but_a_folder_or_a_hub_id_is_rejected(model: str) -> None:
    with pytest.raises(ModelUnusable, match="AMD_MODEL=demo"):
        locate(model, None)


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache, offline."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def put_in_cache(cache: Path, folder: Path) -> None:
    repository = cache / "models--somebody--classifier"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    shutil.copytree(folder, repository / "snapshots" / COMMIT)


def test_a_cached_hub_model_needs_no_hub_and_has_its_commit(pristine: Path, hub_cache: Path) -> None:
    put_in_cache(hub_cache, pristine)
    for revision in (None, "main", COMMIT):
        files = open_model(Settings(model="somebody/classifier", model_revision=revision))
        assert (files.id, files.revision) == ("somebody/classifier", COMMIT)


def test_a_cached_hub_model_can_be_verified_offline(pristine: Path, hub_cache: Path) -> None:
    put_in_cache(hub_cache, pristine)
    assert pull(Settings(model="somebody/classifier")).revision == COMMIT


def test_an_unreachable_hub_is_a_temporary_error(hub_cache: Path) -> None:
    with pytest.raises(ClassifierUnavailable, match=r"somebody/classifier .*`amd-service model pull`.*AMD_MODEL=demo"):
        open_model(Settings(model="somebody/classifier"))


def test_the_error_of_pull_does_not_advise_to_pull(hub_cache: Path) -> None:
    with pytest.raises(ClassifierUnavailable, match=r"Run this on a machine with network access.*AMD_MODEL=demo"):
        pull(Settings(model="somebody/classifier"))


def test_a_cached_model_of_another_revision_is_not_used(pristine: Path, hub_cache: Path) -> None:
    put_in_cache(hub_cache, pristine)
    with pytest.raises(ClassifierUnavailable, match="at revision v2"):
        open_model(Settings(model="somebody/classifier", model_revision="v2"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "blobs/1.incomplete"), "No space left on device"),
        (ConnectionResetError("Connection reset by peer"), "Connection reset by peer"),
        (httpx2.ReadError("the connection broke"), "ReadError: the connection broke"),
    ],
)
def test_a_failed_download_is_temporary_and_names_its_cause(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fail(*_: object, local_files_only: bool, **__: object) -> str:
        raise LocalEntryNotFoundError("not cached") if local_files_only else error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(ClassifierUnavailable) as raised:
        open_model(Settings(model="somebody/classifier"))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_cache_without_permission_is_final_and_names_the_path(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, local_files_only: bool, **__: object) -> str:
        raise LocalEntryNotFoundError("not cached") if local_files_only else PermissionError(13, "denied", "/cache/x")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(ModelUnusable, match=r"'/cache/x'.*HF_HOME"):
        open_model(Settings(model="somebody/classifier"))
