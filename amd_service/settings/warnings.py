"""Warnings about variables that have no effect, or whose value is an example."""

import os
from collections.abc import Mapping
from difflib import get_close_matches
from urllib.parse import urlsplit

from amd_service.settings.service_links import is_service_link
from amd_service.settings.settings import Settings, env_file_variables, environment_name

# Variables that docker-compose.yml, the tests and the development tools read.
_USED_ELSEWHERE = (
    "AMD_BIND",
    "AMD_SERVICE_MODEL",
    "AMD_SERVICE_THREADS",
    "AMD_WORKER_THREADS",
    "AMD_TEST_DATABASE_URL",
    "AMD_TEST_TWILIO_OPENAPI",
    "AMD_REQUIRE_TOOLS",
)

# Domains that nobody can register (RFC 2606). .env.example contains such a URL.
_EXAMPLE_DOMAINS = ("example", "example.com", "example.net", "example.org", "invalid", "test")


def setting_warnings(settings: Settings) -> list[str]:
    """Return warnings about the variables in the environment and in `.env`, and about an example URL."""
    variables = env_file_variables() | dict(os.environ)
    return [*warnings_for(variables), *_example_url_warnings(settings), *_shadow_warnings(settings)]


def warnings_for(variables: Mapping[str, str | None]) -> list[str]:
    """Return a warning for each variable whose name resembles a setting, but that has no effect.

    Other programs also use `TWILIO_` variables, so a `TWILIO_` name gets a warning only if it is similar to a setting.
    """
    known = {environment_name(field) for field in Settings.model_fields}
    lines = []
    for name, value in sorted(variables.items()):
        if name in _USED_ELSEWHERE:
            continue
        if is_service_link(name, value):
            if name in known:
                lines.append(
                    f"{name}={value} is ignored: Kubernetes sets this variable for a Service; add "
                    "`enableServiceLinks: false` to the pod's specification, or rename the Service"
                )
            continue
        close = get_close_matches(name, known - {name}, n=1, cutoff=0.8)
        is_ours = name.startswith("AMD_") or (name.startswith("TWILIO_") and close)
        if is_ours and name not in known:
            lines.append(f"{name} is not a setting" + (f"; did you mean {close[0]}?" if close else ""))
    return lines


def _shadow_warnings(settings: Settings) -> list[str]:
    model, revision = settings.shadow_model, settings.shadow_revision
    if model is None or (model, revision) != (settings.model, settings.model_revision):
        return []
    return [f"AMD_SHADOW_MODEL={model} is also AMD_MODEL, so a comparison shows nothing; unset AMD_SHADOW_MODEL"]


def _example_url_warnings(settings: Settings) -> list[str]:
    host = urlsplit(settings.public_url or "").hostname or ""
    if not any(host == domain or host.endswith(f".{domain}") for domain in _EXAMPLE_DOMAINS):
        return []
    cure = "an example URL that Twilio cannot reach; set AMD_PUBLIC_URL to the URL of this service"
    return [f"AMD_PUBLIC_URL={settings.public_url} is {cure}"]
