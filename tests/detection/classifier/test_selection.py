"""Selection of the engine by settings, exports, engine checks and hardware."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from amd_service.detection.classifier.engine_check import write_engine_check
from amd_service.detection.classifier.engines.engine import load_engine
from amd_service.detection.classifier.engines.selection import Choice, Hardware, choose
from amd_service.detection.classifier.exported_engine import describe_cpu, has_bf16, locate_exported_engine
from amd_service.detection.classifier.hub import Located
from amd_service.detection.classifier.model import ModelFiles, check_files
from amd_service.errors import ModelUnusable
from amd_service.settings import Settings
from tests.support.engine_checks import store_export

MODERN = Hardware(cuda=False, bf16=True)
OLD = Hardware(cuda=False, bf16=False)
GPU = Hardware(cuda=True, bf16=True)


@pytest.fixture
def files(pristine: Path) -> ModelFiles:
    return check_files(Located("model", pristine, None), None)


def export_checked(files: ModelFiles, cache: Path, *names: str, passed: bool = True, device: str = "cpu") -> None:
    for name in names:
        engine, precision = name.split()
        store_export(locate_exported_engine(files, engine, precision, cache, device=device), passed=passed)


def chosen(files: ModelFiles, cache: Path, hardware: Hardware, **settings: Any) -> Choice:
    return choose(files, Settings(cache_dir=cache, **settings), hardware)


def test_auto_without_an_export_selects_the_reference_and_names_the_command(files: ModelFiles, tmp_path: Path) -> None:
    choice = chosen(files, tmp_path, MODERN)
    assert (choice.engine, choice.precision, choice.exported) == ("torch", "fp32", None)
    assert "amd-service model export --engine openvino --precision bf16" in choice.reason


def test_auto_selects_bf16_if_the_cpu_has_it_and_never_int8(files: ModelFiles, tmp_path: Path) -> None:
    export_checked(files, tmp_path, "openvino bf16", "openvino int8", "onnx fp32", "onnx int8")
    choice = chosen(files, tmp_path, MODERN)
    assert (choice.engine, choice.precision) == ("openvino", "bf16")
    assert choice.check is not None
    choice = chosen(files, tmp_path, OLD)
    assert (choice.engine, choice.precision) == ("onnx", "fp32")


def test_auto_selects_int8_only_on_request(files: ModelFiles, tmp_path: Path) -> None:
    export_checked(files, tmp_path, "openvino bf16", "onnx int8")
    choice = chosen(files, tmp_path, MODERN, precision="int8")
    assert (choice.engine, choice.precision) == ("onnx", "int8")
    export_checked(files, tmp_path, "openvino int8")
    assert chosen(files, tmp_path, MODERN, precision="int8").engine == "openvino"


def test_auto_prefers_a_gpu(files: ModelFiles, tmp_path: Path) -> None:
    export_checked(files, tmp_path, "openvino bf16")
    choice = chosen(files, tmp_path, GPU)
    assert (choice.engine, choice.precision, choice.reason) == ("torch", "fp32", "CUDA is available")


def test_bf16_on_a_gpu_needs_an_engine_check_on_the_gpu(files: ModelFiles, tmp_path: Path) -> None:
    export_checked(files, tmp_path, "torch bf16", device="cpu")
    with pytest.raises(ModelUnusable, match="--engine torch --precision bf16"):
        chosen(files, tmp_path, GPU, precision="bf16")
    export_checked(files, tmp_path, "torch bf16", device="cuda")
    assert chosen(files, tmp_path, GPU, precision="bf16").precision == "bf16"


def test_an_engine_that_failed_its_check_never_serves(files: ModelFiles, tmp_path: Path) -> None:
    export_checked(files, tmp_path, "openvino bf16", passed=False)
    choice = chosen(files, tmp_path, MODERN)
    assert choice.engine == "torch"
    assert "openvino bf16 failed its engine check (exceeds the limit)" in choice.reason
    with pytest.raises(ModelUnusable, match="failed its engine check"):
        chosen(files, tmp_path, MODERN, engine="openvino", precision="bf16")


@pytest.mark.parametrize(
    ("engine", "precision", "command"),
    [
        ("openvino", None, "--engine openvino --precision bf16"),
        ("openvino", "int8", "--engine openvino --precision int8"),
        ("onnx", None, "--engine onnx --precision fp32"),
        ("torch", "bf16", "--engine torch --precision bf16"),
        ("auto", "int8", "--engine openvino --precision int8"),
    ],
)
def test_requesting_an_engine_that_is_not_exported_names_the_command(
    files: ModelFiles, tmp_path: Path, engine: str, precision: str | None, command: str
) -> None:
    with pytest.raises(ModelUnusable) as refused:
        chosen(files, tmp_path, MODERN, engine=engine, precision=precision)
    assert f"run `amd-service model export {command}`" in str(refused.value)


def test_an_unsupported_precision_is_rejected_with_the_supported_ones(files: ModelFiles, tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="AMD_ENGINE=onnx supports fp32 or int8, not bf16"):
        chosen(files, tmp_path, MODERN, engine="onnx", precision="bf16")


def test_a_missing_package_is_reported_with_its_install_command(files: ModelFiles, tmp_path: Path) -> None:
    def installed(package: str) -> str | None:
        return None if package == "openvino" else "1"

    with pytest.raises(ModelUnusable, match=r"pip install 'amd-service\[openvino\]'"):
        choose(files, Settings(cache_dir=tmp_path, engine="openvino"), MODERN, installed=installed)
    choice = choose(files, Settings(cache_dir=tmp_path), MODERN, installed=installed)
    assert "pip install 'amd-service[openvino]'" in choice.reason


def test_another_model_version_or_machine_has_another_folder(files: ModelFiles, tmp_path: Path) -> None:
    def folder_of(of: ModelFiles, precision: str = "bf16", **platform: Any) -> Path:
        return locate_exported_engine(of, "openvino", precision, tmp_path, **platform).folder

    usual = folder_of(files)
    others = {folder_of(replace(files, weights_sha256="1" * 64)), folder_of(files, "int8")}
    others |= {folder_of(replace(files, normalise=False)), folder_of(replace(files, temperature=2.0))}
    others.add(folder_of(check_files(Located("model", files.folder, None), "voicemail,human")))
    others.add(folder_of(files, cpu="x86_64 sse2"))
    others.add(folder_of(files, installed=lambda package: f"{package} 9.9"))
    assert len(others | {usual}) == 8
    assert folder_of(files) == usual


def test_a_changed_config_has_another_folder(files: ModelFiles, folder: Path, tmp_path: Path) -> None:
    copy = check_files(Located("model", folder, None), None)
    usual = locate_exported_engine(files, "onnx", "fp32", tmp_path).folder
    assert locate_exported_engine(copy, "onnx", "fp32", tmp_path).folder == usual
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-3}))
    changed = check_files(Located("model", folder, None), None)
    assert locate_exported_engine(changed, "onnx", "fp32", tmp_path).folder != usual


def test_an_engine_check_without_its_graph_is_ignored(files: ModelFiles, tmp_path: Path) -> None:
    export_checked(files, tmp_path, "openvino bf16")
    exported = locate_exported_engine(files, "openvino", "bf16", tmp_path)
    assert exported.read_check() is not None
    assert exported.graph is not None
    exported.graph.unlink()
    assert exported.read_check() is None


@pytest.mark.parametrize("file", ["model.xml", "model.bin"])
def test_an_engine_check_of_another_graph_is_ignored(files: ModelFiles, tmp_path: Path, file: str) -> None:
    exported = locate_exported_engine(files, "openvino", "bf16", tmp_path)
    exported.folder.mkdir(parents=True)
    (exported.folder / "model.bin").write_bytes(b"weights")
    store_export(exported)
    assert exported.read_check() is not None
    (exported.folder / file).write_bytes(b"never measured")
    assert exported.read_check() is None


@pytest.mark.parametrize("foreign", [{"engine": "onnx"}, {"precision": "fp32"}, {"weights_sha256": "1" * 64}])
def test_an_engine_check_of_another_engine_precision_or_model_is_ignored(
    files: ModelFiles, tmp_path: Path, foreign: dict[str, Any]
) -> None:
    exported = locate_exported_engine(files, "openvino", "bf16", tmp_path)
    store_export(exported)
    check = exported.read_check()
    assert check is not None
    write_engine_check(exported.folder, replace(check, **foreign))
    assert exported.read_check() is None


def test_auto_skips_engines_that_cannot_be_opened_and_reports_them(files: ModelFiles, tmp_path: Path) -> None:
    export_checked(files, tmp_path, "openvino fp32", "onnx fp32")  # neither is a graph
    found = load_engine(files, Settings(cache_dir=tmp_path, precision="fp32", threads=1))
    assert (found.engine.name, found.engine.precision, found.check) == ("torch", "fp32", None)
    for graph in ("model.xml", "model.onnx"):
        assert f"{graph} cannot be opened" in found.reason
    with pytest.raises(ModelUnusable, match=r"model\.onnx cannot be opened"):
        load_engine(files, Settings(cache_dir=tmp_path, engine="onnx", threads=1))


def test_the_next_engine_is_selected_with_the_error_of_the_first(files: ModelFiles, tmp_path: Path) -> None:
    export_checked(files, tmp_path, "openvino bf16", "onnx fp32")
    choice = choose(files, Settings(cache_dir=tmp_path), MODERN, {("openvino", "bf16"): "it is cut short"})
    assert (choice.engine, choice.precision) == ("onnx", "fp32")
    assert choice.reason.endswith("; it is cut short")


def test_the_cache_folder_may_begin_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings(cache_dir=Path("~/engines")).cache_dir == tmp_path / "engines"


def test_the_cpu_is_described_by_its_features(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu sse2 avx2 avx512f amx_bf16 amx_int8\n\nprocessor\t: 1\n")
    assert describe_cpu(cpuinfo).endswith(" avx2 avx512f amx_bf16 amx_int8")
    assert has_bf16(cpuinfo)
    cpuinfo.write_text("processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\n")
    assert describe_cpu(cpuinfo).endswith(" asimd asimddp i8mm")
    cpuinfo.write_text("flags: fpu sse2 avx2\n")
    assert not has_bf16(cpuinfo)
    assert not has_bf16(tmp_path / "absent")
