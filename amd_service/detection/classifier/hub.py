"""Locates a model's files in the package, in a folder or in the hub cache. Downloads missing files from the hub."""

import errno
import re
from dataclasses import dataclass
from pathlib import Path

# The functions of the library are used through its module, which imports each of them at its first use. With a folder
# or `demo` as AMD_MODEL, a process needs none of them: it starts faster and is 7 MB smaller.
import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError: raised by a broken download
    CacheNotFound,
    GatedRepoError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented, but not in its __all__
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)

from amd_service.detection.classifier.temporary_errors import one_line, temporary_cause
from amd_service.errors import ClassifierUnavailable, ConfigurationError, ModelUnusable
from amd_service.settings.network import check_network_environment
from amd_service.telemetry import get_logger

DEMO = "demo"
DEMO_FOLDER = Path(__file__).parents[2] / "models" / "demo"

# Only these files are downloaded: no pickles, no code and no training state.
_WANTED = [
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "calibration.json",
    "windows.json",
    "model*.safetensors",
    "model*.index.json",
]
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_ALTERNATIVES = "set AMD_MODEL to a folder that contains the model, or AMD_MODEL=demo for the demonstration model"

# Error numbers of a cache directory that is read-only or below a file. A full disk is a temporary error.
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOENT)

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Located:
    """A model's folder.

    `id`: the value of AMD_MODEL. `revision`: the commit of a hub model, or None for other models.
    """

    id: str
    folder: Path
    revision: str | None


def locate(model: str, revision: str | None) -> Located:
    """Locate the files of a model: `demo`, a folder or a hub id. This function blocks.

    A hub model that is not cached is downloaded. The cache is searched first, so that a restart needs no network and
    does not change the model. Call `fetch` to update the cache. Raises ModelUnusable if the model cannot be obtained.
    Raises ClassifierUnavailable if the hub does not respond.
    """
    local = _locate_here(model)
    if local is not None:
        return local
    try:
        return _snapshot(model, revision, cached_only=True)
    except LocalEntryNotFoundError:
        log.info("model not cached, downloading", model=model, revision=revision)
    except HFValidationError as error:
        raise ModelUnusable(f"AMD_MODEL={model}: {error}") from error
    was_disabled = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        return fetch(model, revision, cure="Run `amd-service model pull` with network access")
    finally:
        if not was_disabled:
            enable_progress_bars()


def locate_downloaded(model: str, revision: str | None) -> Located | None:
    """Locate a model without a download. Returns None for a hub model that is not in the cache. Raises as `locate`."""
    try:
        return _locate_here(model) or _snapshot(model, revision, cached_only=True)
    except LocalEntryNotFoundError:
        return None
    except HFValidationError as error:
        raise ModelUnusable(f"{model}: {error}") from error


def list_cached() -> list[Located]:
    """Return every revision of every model in the local cache of the hub, also of other architectures."""
    try:
        repositories = huggingface_hub.scan_cache_dir(constants.HF_HUB_CACHE).repos
    except CacheNotFound:
        return []
    return [
        Located(repository.repo_id, revision.snapshot_path, revision.commit_hash)
        for repository in sorted(repositories, key=lambda found: found.repo_id)
        if repository.repo_type == "model"
        for revision in sorted(repository.revisions, key=lambda found: found.commit_hash)
    ]


def fetch(model: str, revision: str | None, *, cure: str = "Run this on a machine with network access") -> Located:
    """Download the newest files of a hub model's revision into the cache, with a progress bar.

    Raises as `locate`. `cure`: advice for the error message when the hub cannot be reached.
    """
    local = _locate_here(model)
    if local is not None:
        return local
    try:
        check_network_environment()
    except ConfigurationError as error:
        raise ModelUnusable(f"{model} cannot be downloaded: {error}") from error
    at = f" at revision {revision}" if revision else ""
    try:
        return _snapshot(model, revision, cached_only=False)
    except GatedRepoError as error:
        raise ModelUnusable(f"{model} is a gated model: request access on its hub page, then set HF_TOKEN") from error
    except RepositoryNotFoundError as error:
        raise ModelUnusable(
            f"{model} does not exist on the hub, or HF_TOKEN has no access to it. Correct AMD_MODEL, or {_ALTERNATIVES}"
        ) from error
    except RevisionNotFoundError as error:
        raise ModelUnusable(f"{model} has no revision {revision}: correct AMD_MODEL_REVISION") from error
    except (OSError, HTTPError) as error:
        if isinstance(error, OSError) and error.errno in _NOT_WRITABLE:
            raise ModelUnusable(
                f"{model}{at} cannot be stored in the local cache {constants.HF_HUB_CACHE} ({one_line(error)}). Set "
                f"HF_HOME to a writable directory, or {_ALTERNATIVES}"
            ) from error
        raise ClassifierUnavailable(
            f"{model}{at} is not in the local cache and cannot be downloaded now ({_cause(error)}). "
            f"{cure}, or {_ALTERNATIVES}"
        ) from error


def _cause(error: Exception) -> str:
    """Describe a failed download. LocalEntryNotFoundError hides the error of the request to the hub."""
    hidden = error.__cause__ if isinstance(error, LocalEntryNotFoundError) else None
    shown = hidden or error
    return temporary_cause(shown) or f"{type(shown).__name__}: {one_line(shown)}"


def _locate_here(model: str) -> Located | None:
    if model == DEMO:
        return Located(DEMO, DEMO_FOLDER, None)
    try:
        folder = Path(model).expanduser()
    except RuntimeError as error:
        raise ModelUnusable(f"AMD_MODEL={model} begins with ~, but the home directory is unknown: set HOME") from error
    if folder.is_dir():
        return Located(model, folder.resolve(), None)
    if _HUB_ID.fullmatch(model) is None or model.startswith("."):
        raise ModelUnusable(
            f"AMD_MODEL={model} is neither a folder nor a hub id (owner/name). Correct AMD_MODEL, or {_ALTERNATIVES}"
        )
    return None


def _snapshot(model: str, revision: str | None, *, cached_only: bool) -> Located:
    folder = huggingface_hub.snapshot_download(
        model, revision=revision, local_files_only=cached_only, allow_patterns=_WANTED
    )
    return Located(model, Path(folder), Path(folder).name)
