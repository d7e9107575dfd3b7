"""Exported engines equal the reference within their precision, at any length."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import Wav2Vec2Config, Wav2Vec2ForSequenceClassification

from amd_service.detection.classifier.engines.engine import Engine, load_engine, open_engine
from amd_service.detection.classifier.exported_engine import ExportedEngine, has_bf16, locate_exported_engine
from amd_service.detection.classifier.features import normalise
from amd_service.detection.classifier.frames import ConvolutionalFront
from amd_service.detection.classifier.hub import Located
from amd_service.detection.classifier.model import ModelFiles, check_files
from amd_service.errors import ModelUnusable
from amd_service.lab.export.build import build, quantise_onnx, quiet_builders
from amd_service.lab.export.graph import FrameMasked
from amd_service.settings import Settings
from tests.support.engine_checks import store_export
from tests.support.models import build_model, noise

pytestmark = pytest.mark.slow  # every engine is built, nncf is imported

EXPORTED = ("openvino fp32", "openvino bf16", "openvino int8", "onnx fp32", "onnx int8")
LENGTHS_S = (1.0, 1.37, 2.0, 5.0)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    return check_files(Located("model", build_model(tmp_path_factory.mktemp("models") / "good"), None), None)


@pytest.fixture(scope="module")
def cache(files: ModelFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every exported engine of the model, with an engine check that passed."""
    folder = tmp_path_factory.mktemp("cache")
    exports: dict[str, ExportedEngine] = {}
    graphs: dict[str, Path] = {}
    for name in EXPORTED:
        engine, precision = name.split()
        exports[name] = locate_exported_engine(files, engine, precision, folder)
        exports[name].folder.mkdir(parents=True)
        graph = exports[name].graph
        assert graph is not None
        graphs[name] = graph
    calibration = [noise(seconds, seed) for seed, seconds in enumerate((1.0, 2.0, 2.0, 5.0))]
    with quiet_builders():
        for name in ("openvino int8", "openvino bf16", "onnx fp32"):
            engine, precision = name.split()
            build(engine, precision, files, graphs[name], calibration)
        # Converting takes most of the time, so shared graphs are built once.
        quantise_onnx(graphs["onnx fp32"], graphs["onnx int8"])
    for suffix in (".xml", ".bin"):
        shutil.copy(graphs["openvino bf16"].with_suffix(suffix), graphs["openvino fp32"].with_suffix(suffix))
    for exported in exports.values():
        store_export(exported)
    return folder


@pytest.fixture
def reference(files: ModelFiles) -> Engine:
    return open_engine("torch", "fp32", files, 1, None)


def engine_named(name: str, files: ModelFiles, cache: Path) -> Engine:
    engine, precision = name.split()
    return load_engine(files, Settings(engine=engine, precision=precision, cache_dir=cache, threads=1)).engine


def voicemail(logits: NDArray[np.float32]) -> float:
    return float(1 / (1 + np.exp(logits[0] - logits[1])))


@pytest.mark.parametrize("name", ["openvino fp32", "onnx fp32"])
def test_float32_engines_equal_the_reference_at_any_length(
    name: str, files: ModelFiles, cache: Path, reference: Engine
) -> None:
    engine = engine_named(name, files, cache)
    for seconds in LENGTHS_S:
        clip = noise(seconds, seed=9)
        np.testing.assert_allclose(engine.logits([clip]), reference.logits([clip]), atol=1e-4)


@pytest.mark.parametrize(("fits", "graphs"), [(False, 1), (True, 3)])
def test_windows_of_the_service_have_the_same_scores_with_and_without_a_graph_of_their_shape(
    files: ModelFiles, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fits: bool, graphs: int
) -> None:
    exported = locate_exported_engine(files, "openvino", "fp32", cache)
    graph = tmp_path / "model.xml"
    for suffix in (".xml", ".bin"):
        shutil.copy(exported.folder / f"model{suffix}", graph.with_suffix(suffix))
    any_length = open_engine("openvino", "fp32", files, 1, graph)
    if not fits:
        monkeypatch.setattr("amd_service.detection.classifier.engines.openvino.FIXED_SHAPES_BYTES", 1)
    fixed = open_engine("openvino", "fp32", files, 1, graph, (2000, 5000))
    for clips in ([noise(2.0, 1)], [noise(5.0, 2)], [noise(1.37, 3)], [noise(2.0, 4), noise(2.0, 5)]):
        np.testing.assert_allclose(fixed.logits(clips), any_length.logits(clips), atol=1e-5)
    # OpenVINO stores each compiled graph in its cache.
    assert len(list(tmp_path.rglob("*.blob"))) == graphs


@pytest.mark.parametrize(
    ("name", "limit"), [("openvino bf16", 0.02), ("torch bf16", 0.02), ("openvino int8", 0.06), ("onnx int8", 0.06)]
)
def test_low_precision_engines_stay_near_the_reference_and_run_at_their_precision(
    name: str, limit: float, files: ModelFiles, cache: Path, reference: Engine
) -> None:
    if name == "torch bf16":
        store_export(locate_exported_engine(files, "torch", "bf16", cache))
    engine = engine_named(name, files, cache)
    assert f"{engine.name} {engine.precision}" == name
    apart = [
        abs(voicemail(engine.logits([clip])[0]) - voicemail(reference.logits([clip])[0]))
        for clip in (noise(seconds, seed) for seconds in LENGTHS_S for seed in (11, 12))
    ]
    # Without any difference the engine runs at another precision, as OpenVINO does on a CPU without bf16.
    assert max(apart) < limit
    assert max(apart) > 0 or (name == "openvino bf16" and not has_bf16())


@pytest.mark.parametrize("name", ["openvino bf16", "onnx fp32"])
def test_a_result_is_not_overwritten_by_the_next_call(name: str, files: ModelFiles, cache: Path) -> None:
    engine = engine_named(name, files, cache)
    first = engine.logits([noise(2.0, seed=1)])
    kept = first.copy()
    engine.logits([noise(2.0, seed=2) * 0.1])
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("name", ["openvino int8", "onnx fp32"])
def test_the_error_for_a_damaged_graph_names_the_export_command(name: str, files: ModelFiles, tmp_path: Path) -> None:
    engine, precision = name.split()
    store_export(locate_exported_engine(files, engine, precision, tmp_path))
    with pytest.raises(ModelUnusable, match=f"model export --engine {engine} --precision {precision} --again"):
        engine_named(name, files, tmp_path)


@pytest.mark.parametrize(("stable", "norm"), [(True, "layer"), (False, "group")])
def test_the_graph_equals_transformers_padded_or_not(stable: bool, norm: str) -> None:
    torch.manual_seed(3)
    config = Wav2Vec2Config(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        classifier_proj_size=16,
        do_stable_layer_norm=stable,
        feat_extract_norm=norm,
    )
    model: Any = Wav2Vec2ForSequenceClassification(config)
    model.eval()
    front = ConvolutionalFront(tuple(config.conv_kernel), tuple(config.conv_stride))
    lengths = [32_000, 20_011]
    clips = np.zeros((2, 32_000), np.float32)
    for row, count in zip(clips, lengths, strict=True):
        row[:count] = normalise(noise(count / 16_000, seed=count))
    samples = torch.from_numpy(clips)
    attended = torch.arange(32_000)[None, :] < torch.tensor(lengths)[:, None]
    with torch.inference_mode():
        ours = FrameMasked(model)(samples, torch.from_numpy(front.mask(lengths)))
        theirs = model(samples, attention_mask=attended.long()).logits
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
        unmasked = FrameMasked(model)(samples[1:], torch.ones(1, front.frames(32_000)))
    assert float((unmasked - theirs[1:]).abs().max()) > 1e-4  # otherwise the mask has no effect here


@pytest.mark.parametrize("samples", [16_000, 21_920, 32_000, 32_001, 80_000])
def test_the_frame_count_equals_that_of_the_convolutions(files: ModelFiles, samples: int) -> None:
    model: Any = Wav2Vec2ForSequenceClassification.from_pretrained(files.folder)
    made = model.wav2vec2.feature_extractor(torch.zeros(1, samples)).shape[-1]
    assert ConvolutionalFront.of_model(files.folder).frames(samples) == made


def test_importing_openvino_and_nncf_sends_no_telemetry() -> None:
    script = (
        "import socket, sys\n"
        "def refuse(*_, **__): raise SystemExit('something opened a connection')\n"
        "socket.socket.connect = refuse; socket.getaddrinfo = refuse\n"
        "from amd_service.lab.export.build import _import_nncf, import_openvino\n"
        "import_openvino(); nncf = _import_nncf()\n"
        "from nncf.telemetry.wrapper import telemetry\n"
        "assert 'Mock' in type(telemetry).__name__, telemetry\n"
        "assert not [name for name in sys.modules if name.startswith('openvino_telemetry.')]\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
