"""Lists the models on this machine, and describes one of them without loading it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from safetensors import safe_open

from amd_service.detection.classifier.engine_check import EngineCheck, read_engine_check
from amd_service.detection.classifier.hub import DEMO, DEMO_FOLDER, Located, list_cached, locate_downloaded
from amd_service.detection.classifier.model import ModelFiles, check_files
from amd_service.errors import ModelUnusable
from amd_service.settings import Settings

# Characters of a model card that a summary shows.
SUMMARY_LENGTH = 600


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that settings name, that is part of this service, or that was downloaded.

    `used_as`: settings that name the model. `problem`: why it cannot be used; `files` is then None. `engines`: checks
    of its exported engines.
    """

    id: str
    revision: str | None
    folder: Path | None
    used_as: tuple[str, ...]
    files: ModelFiles | None
    problem: str | None
    engines: tuple[EngineCheck, ...]


def list_models(settings: Settings) -> list[KnownModel]:
    """Return the models of the settings, the included model, and the usable models in the cache of the hub."""
    named: dict[tuple[str, str | None], list[str]] = {(settings.model, settings.model_revision): ["AMD_MODEL"]}
    if settings.shadow_model is not None:
        named.setdefault((settings.shadow_model, settings.shadow_revision), []).append("AMD_SHADOW_MODEL")
    models = [_describe(settings, model, revision, tuple(used)) for (model, revision), used in named.items()]
    seen = {model.folder for model in models}
    others = [Located(DEMO, DEMO_FOLDER, None), *list_cached()]
    found = [_describe_located(settings, each, ()) for each in others if each.folder not in seen]
    return models + [model for model in found if model.files is not None]


def find_model(settings: Settings, model: str | None) -> KnownModel:
    """Return a folder, a downloaded model or `demo`; None means AMD_MODEL.

    Raises ModelUnusable if the model cannot be used.
    """
    used = ("AMD_MODEL",) if model in (None, settings.model) else ()
    chosen, revision = model or settings.model, settings.model_revision if used else None
    found = _describe(settings, chosen, revision, used)
    if found.problem is not None:
        raise ModelUnusable(found.problem)
    return found


def _describe(settings: Settings, model: str, revision: str | None, used_as: tuple[str, ...]) -> KnownModel:
    try:
        located = locate_downloaded(model, revision)
    except ModelUnusable as error:
        return KnownModel(model, revision, None, used_as, None, str(error), ())
    if located is None:
        problem = f"{model} is not downloaded: set AMD_MODEL={model} and run `amd-service model pull`"
        return KnownModel(model, revision, None, used_as, None, problem, ())
    return _describe_located(settings, located, used_as)


def _describe_located(settings: Settings, located: Located, used_as: tuple[str, ...]) -> KnownModel:
    stated_labels = settings.labels if "AMD_MODEL" in used_as else None
    try:
        files = check_files(located, stated_labels)
    except ModelUnusable as error:
        return KnownModel(located.id, located.revision, located.folder, used_as, None, str(error), ())
    engines = find_engine_checks(settings, files)
    return KnownModel(located.id, located.revision, located.folder, used_as, files, None, engines)


def find_engine_checks(settings: Settings, files: ModelFiles) -> tuple[EngineCheck, ...]:
    """Return the checks of all exported engines of a model, also of those for other machines and versions."""
    folders = sorted((settings.cache_dir / "artefacts" / files.weights_sha256[:16]).glob("*"))
    checks = (read_engine_check(folder) for folder in folders)
    return tuple(check for check in checks if check is not None and check.weights_sha256 == files.weights_sha256)


def count_parameters(weights: Sequence[Path]) -> int:
    """Return the number of weights in safetensors files. Reads only their headers."""
    total = 0
    for path in weights:
        with safe_open(path, framework="np") as tensors:
            total += sum(prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
    return total


def summarise_card(folder: Path) -> str | None:
    """Return the beginning of the model card README.md without its metadata, or None if there is no card."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    if text.startswith("---\n"):
        text = text.partition("\n---\n")[2]
    beginning = text.strip().partition("\n## ")[0].strip()
    return beginning if len(beginning) <= SUMMARY_LENGTH else f"{beginning[:SUMMARY_LENGTH].rstrip()} …"
