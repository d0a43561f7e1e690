"""The Triton repository: Triton's own words for it, its network, and the client that asks it.

No Triton runs here. The stand-in server speaks its protocol and does with ONNX Runtime what the
configuration asks of Triton: states by sequence, zeros at a start.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="requirements-train.txt is not installed")
pytest.importorskip("tritonclient", reason="requirements-dev.txt is not installed")

import grpc
import onnx
import onnxruntime
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

import run
from export import ExportError, to_engine
from export.config import ExportConfig
from export.ort import OnnxRuntime
from export.to_triton import MOST_AT_ONCE, repository_from_onnx
from stream import StreamError
from stream.backends.engine_cache import EngineKey
from stream.backends.flavor import TensorRtProper, TensorRtRtx
from stream.backends.nvidia import GpuCard
from stream.backends.ov import OpenVino
from stream.backends.trial import probe
from stream.config import VideoConfig
from stream.main import video
from stream.networks import MODELS
from stream.segmenter import Segmenter
from stream.sources.video_file import VideoFile

ADA = GpuCard("RTX 4070", (8, 9), "590.44, CUDA 13.1")
HW = (128, 224)  # of person-small
SMALL = MODELS / "person-small.onnx"


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """The small network's."""
    root = tmp_path_factory.mktemp("repository")
    shutil.copy(SMALL, root)
    repository_from_onnx(root / SMALL.name, "small", HW, None)
    return root


def config_of(folder: Path) -> model_config_pb2.ModelConfig:
    """Parsed as Triton does it: what it does not know is an error."""
    text = (folder / "config.pbtxt").read_text()
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def session_of(network: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])


# ------------------------------------------------------------------------- the configuration


def test_triton_understands_the_configuration(repository) -> None:
    config = config_of(repository / "small")
    assert (config.name, config.backend) == ("small", "onnxruntime")
    assert config.max_batch_size == MOST_AT_ONCE > 1
    assert config.sequence_batching.WhichOneof("strategy_choice") == "oldest"
    assert config.sequence_batching.oldest.max_candidate_sequences >= config.max_batch_size
    assert config.sequence_batching.max_sequence_idle_microseconds == 60_000_000
    (state,) = config.sequence_batching.state
    assert (state.input_name, state.output_name) == ("previous", "alpha")
    (initial,) = state.initial_state
    assert initial.zero_data and list(initial.dims) == list(state.dims)
    assert initial.data_type == state.data_type == model_config_pb2.TYPE_FP32
    assert initial.name  # Triton refuses one without


def test_it_names_every_tensor_of_the_network_once_with_its_shape(repository) -> None:
    config = config_of(repository / "small")
    (state,) = config.sequence_batching.state
    told = {each.name: list(each.dims) for each in config.input}
    told |= {state.input_name: list(state.dims)}
    session = session_of(repository / "small" / "1" / "model.onnx")
    inputs = {each.name: each.shape for each in session.get_inputs()}
    # Triton counts no batch among the dimensions; in the network it has to be free.
    assert inputs == {name: ["N", *dims] for name, dims in told.items()}
    assert [each.name for each in session.get_outputs()] == [each.name for each in config.output]
    assert session.get_outputs()[0].shape == ["N", *config.output[0].dims]
    assert list(config.output[0].dims) == list(state.dims) == [*HW, 1]


def test_the_weights_are_those_of_the_network(repository) -> None:
    ours, theirs = (
        onnx.load(path).graph for path in (SMALL, repository / "small" / "1" / "model.onnx")
    )
    assert [each.SerializeToString() for each in ours.initializer] == [
        each.SerializeToString() for each in theirs.initializer
    ]
    assert ours.node == theirs.node
    assert ours.input[0].type.tensor_type.shape.dim[0].dim_value == 1  # the app's stays as it is


# ------------------------------------------------------------------------- what it computes


def test_each_row_of_a_batch_is_computed_by_itself(repository) -> None:
    session = session_of(repository / "small" / "1" / "model.onnx")
    shown = [probe(HW, seed) for seed in range(3)]
    images, previous = (np.concatenate(each) for each in zip(*shown, strict=True))
    (together,) = session.run(["alpha"], {"image": images, "previous": previous})
    with closing(OnnxRuntime(SMALL)) as alone:
        for row, each in enumerate(shown):
            # Another batch may be summed up in another order: 1e-5 is 0.003 of 255.
            np.testing.assert_allclose(together[row], alone.infer(*each)[0], atol=1e-5)
    assert together.std() > 0.01


class Watched:
    """An engine of the app's, and what it was shown and said."""

    def __init__(self, network: Path) -> None:
        self._backend, self.name = OpenVino(network), "watched"
        self.shown: list[tuple[np.ndarray, bool, np.ndarray]] = []

    def fit(self, display_hw: tuple[float, float]) -> tuple[int, int]:
        """The network's own size, as in the repository."""
        assert self._backend.fit(HW) == HW
        return HW

    def infer(self, image: np.ndarray, previous: np.ndarray) -> np.ndarray:
        """Remembered: the picture, whether it starts anew, and the answer."""
        alpha = self._backend.infer(image, previous).copy()
        self.shown.append((image.copy(), not previous.any(), alpha))
        return alpha

    def close(self) -> None:
        """The engine's."""
        self._backend.close()


@pytest.mark.parametrize("clip", ["d11.mp4", "d3.mp4"])
def test_the_state_that_goes_round_gives_what_the_apps_segmenter_gives(
    repository, shared, clip
) -> None:
    session = session_of(repository / "small" / "1" / "model.onnx")
    film = VideoFile(str(shared / "data" / "clips" / clip))
    with closing(film), closing(Watched(SMALL)) as engine:
        segmenter = Segmenter(engine)
        for _, frame in zip(range(12), film, strict=False):
            segmenter.segment(frame)
    state, told = None, [shows for *_, shows in engine.shown]
    for image, starts, alpha in engine.shown:
        previous = np.zeros((1, *HW, 1), np.float32) if starts else state
        (state,) = session.run(["alpha"], {"image": image, "previous": previous})
        # Two engines, fp32: export holds each of them to Keras by 1e-4.
        np.testing.assert_allclose(state, alpha, atol=1e-3)
    assert len(told) == 12 and np.std(told) > 0.1  # there is somebody to be seen


# ------------------------------------------------------------------------- the client


class StandIn(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Triton's protocol, and its rules for sequences."""

    def __init__(self, repository: Path, name: str) -> None:
        self.config = config_of(repository / name)
        self._session = session_of(repository / name / "1" / "model.onnx")
        self.states: dict[int, np.ndarray] = {}
        self.starts = self.requests = 0

    def ModelConfig(self, request, context):
        """The configuration, of the model that is there."""
        if request.name != self.config.name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"unknown model: '{request.name}'")
        return service_pb2.ModelConfigResponse(config=self.config)

    def ModelInfer(self, request, context):
        """One frame of a sequence."""
        self.requests += 1
        sequence = request.parameters["sequence_id"].int64_param
        (state,) = self.config.sequence_batching.state
        if request.parameters["sequence_start"].bool_param:
            assert sequence not in self.states, "a sequence that goes on is not begun"
            self.starts += 1
            self.states[sequence] = np.zeros((1, *state.dims), np.float32)
        if sequence not in self.states:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "START flag on the first request")
        (given,), (content,) = request.inputs, request.raw_input_contents
        assert (given.name, given.datatype) == ("image", "FP32")
        assert list(given.shape) == [1, *self.config.input[0].dims]
        image = np.frombuffer(content, np.float32).reshape(tuple(given.shape))
        shown = {"image": image, state.input_name: self.states[sequence]}
        (alpha,) = self._session.run([state.output_name], shown)
        self.states[sequence] = alpha
        if request.parameters["sequence_end"].bool_param:
            del self.states[sequence]
        answer = service_pb2.ModelInferResponse(model_name=request.model_name)
        answer.outputs.add(name="alpha", datatype="FP32", shape=alpha.shape)
        answer.raw_output_contents.append(alpha.tobytes())
        return answer


@pytest.fixture
def server(repository) -> Iterator[tuple[StandIn, str]]:
    """The stand-in, and where it serves."""
    stand_in = StandIn(repository, "small")
    served = grpc.server(ThreadPoolExecutor(2))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(stand_in, served)
    port = served.add_insecure_port("127.0.0.1:0")
    served.start()
    yield stand_in, f"127.0.0.1:{port}"
    served.stop(None).wait()


@pytest.fixture(scope="module")
def client():
    """docs/triton_client.py"""
    path = Path(__file__).parent.parent / "docs" / "triton_client.py"
    spec = importlib.util.spec_from_file_location("triton_client", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def two_scenes(path: Path) -> Path:
    """Nine frames of one picture that drifts, then nine of another."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", 25)
        stream.height, stream.width, stream.pix_fmt = 72, 128, "yuv420p"
        for number in range(18):
            scene = probe((72, 128), number // 9)[0][0]
            noise = rng.normal(0, 2, scene.shape)
            shown = scene if number < 9 else 255 - scene[::-1]
            rgb = np.clip(shown + noise, 0, 255).astype(np.uint8)
            picture = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format="yuv420p")
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def test_a_clip_through_the_server_is_the_clip_through_the_app(
    server, client, tmp_path, capsys
) -> None:
    stand_in, url = server
    clip = two_scenes(tmp_path / "in.mkv")
    client.main(str(clip), str(tmp_path / "served.mkv"), url, "small")
    assert f"engine: Triton at {url}, small" in capsys.readouterr().out
    video(VideoConfig(str(clip), tmp_path / "own.mkv"), engine=lambda shown_hw: OnnxRuntime(SMALL))
    clips = [VideoFile(str(tmp_path / name)) for name in ("served.mkv", "own.mkv")]
    pairs = list(zip(*clips, strict=True))
    assert len(pairs) == 18
    for served, own in pairs:
        for one, other in zip(served.planes, own.planes, strict=True):
            assert np.abs(one.astype(int) - other).max() <= 1
    for each in clips:
        each.close()
    # Two scenes are two sequences; each is ended by one request more, and nothing stays behind.
    assert (stand_in.starts, stand_in.requests, stand_in.states) == (2, 18 + 2, {})


def test_a_server_that_is_not_there_is_named(client) -> None:
    with pytest.raises(StreamError, match=r"cannot ask 127\.0\.0\.1:9 for small: "):
        client.Triton("127.0.0.1:9", "small")


def test_a_model_that_is_not_there_is_named(server, client) -> None:
    with pytest.raises(StreamError, match="for person: unknown model: 'person'"):
        client.Triton(server[1], "person")


def test_what_the_server_refuses_is_told(server, client) -> None:
    stand_in, url = server
    triton = client.Triton(url, "small")
    image, previous = probe(HW)
    triton.infer(image, np.zeros_like(previous))
    stand_in.states.clear()  # as after a minute of silence
    with pytest.raises(StreamError, match="does not answer: START flag"):
        triton.infer(image, previous)
    triton.close()
    triton.close()


# ------------------------------------------------------------------------- engines


@pytest.mark.parametrize(
    ("flavor", "card"),
    [
        (TensorRtRtx(None, "1.7"), ADA),  # never: Triton's backend is built for TensorRT
        (TensorRtProper(None, "11.4"), None),
    ],
)
def test_without_tensorrt_itself_and_a_gpu_there_is_no_engine(
    flavor, card, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(to_engine, "load", lambda: flavor)
    network = shutil.copy(SMALL, tmp_path)
    (served,) = repository_from_onnx(Path(network), "small", HW, card)
    assert served == tmp_path / "small" / "1" / "model.onnx"
    assert sorted(path.name for path in tmp_path.iterdir()) == [SMALL.name, "small"]


def test_tensorrts_own_engine_is_served_under_a_name_of_its_own(tmp_path, monkeypatch) -> None:
    asked = []

    class Played:
        def __init__(self, network, flavor, card, folder, batch):
            asked.append((card, batch))

        def engine(self, size_hw):
            key = EngineKey("small", "", size_hw, MOST_AT_ONCE, ())
            return key, b"an engine", False

    monkeypatch.setattr(to_engine, "load", lambda: TensorRtProper(None, "11.4"))
    monkeypatch.setattr(to_engine, "Engines", Played)
    network = shutil.copy(SMALL, tmp_path)
    _, plan = repository_from_onnx(Path(network), "small", HW, ADA)
    assert plan == tmp_path / "small-tensorrt" / "1" / "model.plan"
    assert plan.read_bytes() == b"an engine" and asked == [(ADA, MOST_AT_ONCE)]
    config, other = (config_of(tmp_path / name) for name in ("small-tensorrt", "small"))
    assert (config.name, config.platform, config.backend) == (
        "small-tensorrt",
        "tensorrt_plan",
        "",
    )
    assert config.sequence_batching == other.sequence_batching and config.input == other.input


# ------------------------------------------------------------------------- the command


@pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")
def test_the_command_lays_it_out_and_holds_it_to_keras(
    tiny_network, tiny_onnx, tmp_path, capsys, monkeypatch
) -> None:
    def converted(network: Path, target: Path, size_hw: tuple[int, int]) -> None:
        target.write_bytes(tiny_onnx.read_bytes())  # test_export_main.py has the real conversion

    monkeypatch.setattr("export.convert.onnx_from_keras", converted)
    words = ["export", str(tiny_network), str(tmp_path), "--height", "64", "--width", "64"]
    assert run.main([*words, "--triton"]) == 0
    config = config_of(tmp_path / "tiny")
    assert (config.name, list(config.input[0].dims)) == ("tiny", [64, 64, 3])
    assert "model.onnx" in capsys.readouterr().out  # a row of the table
    with closing(OnnxRuntime(tmp_path / "tiny" / "1" / "model.onnx")) as served:
        image, previous = probe(served.fit((1, 1)))
        assert served.infer(np.repeat(image, 3, 0), np.repeat(previous, 3, 0)).shape[0] == 3


def test_a_run_is_not_laid_out_for_triton() -> None:
    with pytest.raises(ExportError, match=r"--triton goes with a \.keras file"):
        ExportConfig(Path("runs/person"), triton=True)


def test_what_cannot_be_written_is_named(tmp_path) -> None:
    network = Path(shutil.copy(SMALL, tmp_path))
    (tmp_path / "small").write_text("in the way")
    with pytest.raises(ExportError, match=r"cannot write to .*small.1: "):
        repository_from_onnx(network, "small", HW, None)
