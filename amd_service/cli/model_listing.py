"""Prints what `amd-service model list` and `model show` found."""

import json
from dataclasses import asdict

from amd_service.cli.access_commands import print_rows
from amd_service.detection.classifier.known_models import (
    KnownModel,
    count_parameters,
    find_model,
    list_models,
    summarise_card,
)
from amd_service.settings import Settings


def print_models(settings: Settings, *, as_json: bool) -> None:
    """Print one line per model, or one JSON document."""
    models = list_models(settings)
    if as_json:
        print(json.dumps([_document(each) for each in models], ensure_ascii=False))  # noqa: T201 - the command's output
        return
    rows = [
        {
            "model": each.id,
            "revision": (each.revision or "")[:8],
            "used_as": ", ".join(each.used_as),
            "weights": each.files.weights_sha256[:12] if each.files else "",
            "labels": ",".join(each.files.labels.labels) if each.files else "",
            "engines": ", ".join(_engine_names(each)),
            "folder": str(each.folder or ""),
        }
        for each in models
    ]
    print_rows(rows, as_json=False, empty="")
    for each in models:
        if each.problem is not None:
            print(f"{', '.join(each.used_as)}: {each.problem}")  # noqa: T201


def print_model(settings: Settings, model: str | None, *, as_json: bool) -> None:
    """Print one fact per line, or one JSON document. Raises ModelUnusable."""
    found = find_model(settings, model)
    document = _document(found)
    if as_json:
        print(json.dumps(document, ensure_ascii=False))  # noqa: T201
        return
    card = document.pop("card")
    for name, value in document.items():
        if value not in (None, [], {}):
            parts = [f"{key}={each}" for key, each in value.items()] if isinstance(value, dict) else value
            text = ", ".join(map(str, parts)) if isinstance(parts, list) else parts
            print(f"{name.replace('_', ' '):<16} {text}")  # noqa: T201
    if card:
        print(f"\n{card}")  # noqa: T201


def _engine_names(model: KnownModel) -> list[str]:
    return sorted({f"{each.engine} {each.precision}{'' if each.passed else ' (failed)'}" for each in model.engines})


def _document(model: KnownModel) -> dict[str, object]:
    files = model.files
    document: dict[str, object] = {
        "model": model.id,
        "revision": model.revision,
        "folder": None if model.folder is None else str(model.folder),
        "used_as": list(model.used_as),
        "problem": model.problem,
    }
    if files is None or model.folder is None:
        return document
    return document | {
        "parameters": count_parameters(files.weights),
        "labels": [str(label) for label in files.labels.labels],
        "labels_from": str(files.labels.source),
        "windows": {name: value for name, value in asdict(files.windows).items() if value is not None},
        "temperature": files.temperature,
        "normalise": files.normalise,
        "weights_sha256": files.weights_sha256,
        "config_sha256": files.config_sha256,
        "engines": _engine_names(model),
        "card": summarise_card(model.folder),
    }
