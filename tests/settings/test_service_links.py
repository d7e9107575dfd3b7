"""The variables that Kubernetes sets for Services whose names begin with `amd` or `twilio`."""

from pathlib import Path

import pytest

from amd_service.settings import Settings, load_settings
from amd_service.settings.warnings import setting_warnings


def service_links(name: str, port: int, *, protocol: str = "tcp", named_port: str = "http") -> dict[str, str]:
    """Return the variables that the kubelet sets for a Service."""
    url, upper = f"{protocol}://10.0.0.1:{port}", protocol.upper()
    return {
        f"{name}_SERVICE_HOST": "10.0.0.1",
        f"{name}_SERVICE_PORT": str(port),
        f"{name}_SERVICE_PORT_{named_port.upper()}": str(port),
        f"{name}_PORT": url,
        f"{name}_PORT_{port}_{upper}": url,
        f"{name}_PORT_{port}_{upper}_PROTO": protocol,
        f"{name}_PORT_{port}_{upper}_PORT": str(port),
        f"{name}_PORT_{port}_{upper}_ADDR": "10.0.0.1",
    }


@pytest.mark.parametrize(
    ("service", "protocol", "ignored"),
    [
        ("AMD", "tcp", "AMD_PORT"),
        ("AMD", "udp", "AMD_PORT"),
        ("AMD_WORKER", "tcp", "AMD_WORKER_PORT"),
        ("AMD_SERVICE", "tcp", None),
        ("AMD_DATABASE", "tcp", None),
        ("TWILIO", "tcp", None),
    ],
)
def test_service_links_are_ignored_and_a_name_of_a_setting_is_a_warning(
    service: str, protocol: str, ignored: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in service_links(service, 8080, protocol=protocol).items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert (settings.port, settings.worker_port) == (8080, 8081)
    warnings = setting_warnings(settings)
    assert len(warnings) == (ignored is not None)
    for warning in warnings:
        assert warning.startswith(f"{ignored}={protocol}://10.0.0.1:8080 is ignored: Kubernetes ")
        assert "enableServiceLinks: false" in warning


def test_the_env_file_applies_in_place_of_a_service_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(Settings.model_config, "env_file", ".env")
    (tmp_path / ".env").write_text("AMD_PORT=8090\n")
    monkeypatch.setenv("AMD_PORT", "tcp://10.0.0.1:8080")
    assert load_settings().port == 8090


def test_a_typing_error_is_still_reported_beside_service_links(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (service_links("AMD", 80) | {"AMD_PROT": "8090"}).items():
        monkeypatch.setenv(name, value)
    assert "AMD_PROT is not a setting; did you mean AMD_PORT?" in setting_warnings(load_settings())
