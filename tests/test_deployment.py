"""The release workflow, the Dockerfile, the wheel's contents and docker-compose.yml agree with the code."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from amd_service.settings.warnings import warnings_for

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
INCLUDED = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]


def read_yaml(path: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
    return loaded


def test_no_job_that_may_sign_runs_code_of_the_project_or_of_its_dependencies() -> None:
    jobs = read_yaml(".github/workflows/release.yml")["jobs"]
    signing = {name: job for name, job in jobs.items() if {"id-token", "attestations"} & set(job["permissions"])}
    assert set(signing) == {"sign", "publish"}
    allowed = ("actions/download-artifact@", "actions/attest-build-provenance@", "pypa/gh-action-pypi-publish@")
    for job in signing.values():
        assert [step for step in job["steps"] if not step.get("uses", "").startswith(allowed)] == []


def test_the_workflows_of_a_release_give_every_artifact_its_own_name() -> None:
    jobs = [*read_yaml(".github/workflows/ci.yml")["jobs"].values()]
    jobs += [job for job in read_yaml(".github/workflows/release.yml")["jobs"].values() if "steps" in job]
    steps = [step for job in jobs for step in job["steps"]]
    names = [step["with"]["name"] for step in steps if step.get("uses", "").startswith("actions/upload-artifact@")]
    assert len(names) == len(set(names)) == 4


def test_the_calls_in_the_wheel_exist_and_stay_small() -> None:
    calls = {ROOT / path: target for path, target in INCLUDED.items() if path.startswith("fixtures/")}
    assert all((folder / "callbacks.jsonl").is_file() for folder in calls)
    assert all(target == f"amd_service/_calls/{folder.name}" for folder, target in calls.items())
    assert sum(file.stat().st_size for folder in calls for file in folder.iterdir()) < 300_000


def test_the_image_is_built_from_all_files_that_the_wheel_needs() -> None:
    needed = {path.partition("/")[0] for path in INCLUDED} | {"amd_service"}
    copied = re.findall(r"^COPY (\w+) \1$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    allowed = re.findall(r"^!(\w+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    assert needed <= set(copied)
    assert needed <= set(allowed)


COMPOSE = read_yaml("docker-compose.yml")
MONITORING = {name: service for name, service in COMPOSE["services"].items() if "profiles" in service}
APPLICATIONS = {name: service for name, service in COMPOSE["services"].items() if name not in ("postgres", *MONITORING)}


def test_every_setting_in_the_compose_file_exists() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    named = {name for service in APPLICATIONS.values() for name in service["environment"]}
    assert warnings_for(dict.fromkeys(named | set(re.findall(r"\bAMD_[A-Z_]+", text)), "x")) == []


@pytest.mark.parametrize("service", APPLICATIONS)
def test_the_users_env_file_cannot_move_the_ports_and_folders_of_a_container(service: str) -> None:
    environment = APPLICATIONS[service]["environment"]
    assert {name: environment[name] for name in ("AMD_HOST", "AMD_PORT", "AMD_WORKER_PORT")} == {
        "AMD_HOST": "0.0.0.0", "AMD_PORT": "8080", "AMD_WORKER_PORT": "8081",
    }  # fmt: skip
    mounted = dict(volume.split(":") for volume in APPLICATIONS[service]["volumes"])
    assert (mounted["models"], mounted["cache"]) == (environment["HF_HOME"], environment["AMD_CACHE_DIR"])
    assert set(mounted) <= set(COMPOSE["volumes"])
    assert "@postgres/" in environment["AMD_DATABASE_URL"]


def test_the_published_ports_and_health_checks_use_the_ports_of_the_containers() -> None:
    services = COMPOSE["services"]
    assert services["service"]["ports"] == ["${AMD_BIND:-127.0.0.1}:8080:8080"]
    assert services["worker"]["ports"][0].endswith(":8081")
    assert ":8081/health" in " ".join(services["worker"]["healthcheck"]["test"])
    assert "AMD_PORT" in (ROOT / "Dockerfile").read_text(encoding="utf-8").partition("HEALTHCHECK")[2]


def test_only_the_workers_load_the_model_by_default() -> None:
    default = "${AMD_SERVICE_MODEL:---no-model}"
    assert COMPOSE["services"]["service"]["command"] == ["amd-service", "serve", "--no-worker", default]
    assert COMPOSE["services"]["worker"]["command"] == ["amd-service", "worker"]


def test_the_image_creates_the_mounted_folders_for_its_account() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "RUN mkdir /models /cache && chown amd /models /cache" in dockerfile
    assert "AMD_CACHE_DIR=/cache" in dockerfile


def test_grafana_and_prometheus_start_only_with_their_profile() -> None:
    assert {name: service["profiles"] for name, service in MONITORING.items()} == {
        "prometheus": ["monitoring"], "grafana": ["monitoring"],
    }  # fmt: skip
    assert all(re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", service["image"]) for service in MONITORING.values())
    assert all(
        port.startswith("${AMD_BIND:-127.0.0.1}:") for service in MONITORING.values() for port in service["ports"]
    )


def test_grafana_and_prometheus_mount_files_of_the_repository_and_volumes_that_exist() -> None:
    mounts = [volume.split(":") for service in MONITORING.values() for volume in service["volumes"]]
    folders = [(source, options) for source, _, *options in mounts if source.startswith("./")]
    assert len(folders) == 3
    assert all((ROOT / source).is_dir() and options == ["ro"] for source, options in folders)
    assert {source for source, *_ in mounts if not source.startswith("./")} <= set(COMPOSE["volumes"])


def test_grafana_reads_dashboards_and_datasources_that_the_compose_file_gives_it() -> None:
    grafana = COMPOSE["services"]["grafana"]
    mounted = {target: source for source, target, *_ in (volume.split(":") for volume in grafana["volumes"])}
    (provider,) = read_yaml("deploy/grafana/provisioning/dashboards/amd.yaml")["providers"]
    assert mounted[provider["options"]["path"]] == "./deploy/grafana/dashboards"
    postgres, prometheus = read_yaml("deploy/grafana/provisioning/datasources/amd.yaml")["datasources"]
    assert postgres["url"] == "postgres:5432"
    assert postgres["jsonData"]["database"] == COMPOSE["services"]["postgres"]["environment"]["POSTGRES_DB"]
    assert postgres["secureJsonData"]["password"].removeprefix("$") in grafana["environment"]
    assert prometheus["url"] == f"http://prometheus:{COMPOSE['services']['prometheus']['ports'][0].rpartition(':')[2]}"


def test_prometheus_finds_its_key_and_the_ports_of_the_containers() -> None:
    deployed = read_yaml("deploy/prometheus/prometheus.yml")
    (scrape,) = deployed["scrape_configs"]
    (secret,) = COMPOSE["services"]["prometheus"]["secrets"]
    assert scrape["authorization"]["credentials_file"] == f"/run/secrets/{secret}"
    assert secret in COMPOSE["secrets"]
    targets = {name: str(found["port"]) for found in scrape["dns_sd_configs"] for name in found["names"]}
    assert targets == {
        "service": APPLICATIONS["service"]["environment"]["AMD_PORT"],
        "worker": APPLICATIONS["worker"]["environment"]["AMD_WORKER_PORT"],
    }
    (source,) = read_yaml("deploy/grafana/provisioning/datasources/amd.yaml")["datasources"][1:]
    assert source["jsonData"]["timeInterval"] == deployed["global"]["scrape_interval"]


@pytest.mark.parametrize(("password", "message"), [("secret", ""), ("", "set GRAFANA_PASSWORD in .env")])
def test_grafana_does_not_start_without_a_password(password: str, message: str) -> None:
    program, option, script = COMPOSE["services"]["grafana"]["entrypoint"]
    command = [program, option, script.replace("$$", "$").replace("/run.sh", "true")]
    started = subprocess.run(
        command, env={"GF_SECURITY_ADMIN_PASSWORD": password}, capture_output=True, text=True, check=False
    )
    assert (started.returncode == 0, message in started.stderr) == (bool(password), True)


UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))


def test_every_setting_in_the_units_exists() -> None:
    text = "".join(unit.read_text(encoding="utf-8") for unit in UNITS)
    assert warnings_for(dict.fromkeys(re.findall(r"\bAMD_[A-Z_]*[A-Z]", text), "x")) == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_the_unit(unit: Path, tmp_path: Path) -> None:
    # An instance of a template has a name after the @. The program must exist.
    copy = tmp_path / unit.name.replace("@", "@1")
    text = unit.read_text(encoding="utf-8")
    copy.write_text(text.replace("/opt/amd-service/bin/amd-service", sys.executable), encoding="utf-8")
    verified = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    started = re.findall(r"^ExecStart=/opt/amd-service/bin/amd-service (.*)$", text, re.MULTILINE)
    assert started == ["worker" if "@" in unit.name else "serve --no-worker --no-model"]
