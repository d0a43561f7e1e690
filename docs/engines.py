"""Median forward pass of one network in every engine for processors: two threads, batch 1.

    python docs/engines.py models/person.onnx models/person.keras PICTURES…

PICTURES: a few dozen, to calibrate int8. Files in between go to the folder WORK, or here.

Needs requirements-train.txt, onnxruntime and ai-edge-litert. Engines take turns, ten passes each,
so that whatever else the machine does disturbs all alike; the first turns are warm-up.
"""

import os
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

sys.path.insert(0, str(Path(__file__).parent.parent))
from stream.backends.ov import openvino as ov

SIZES_HW = ((256, 256), (192, 352))
TURNS, WARM_UP, PASSES = 40, 8, 10
ort.set_default_logger_severity(3)


def sized(network: Path, size_hw: tuple[int, int], target: Path) -> Path:
    proto = onnx.load(network)
    for value in (proto.graph.input[0], proto.graph.output[0]):
        for dim, side in zip(value.type.tensor_type.shape.dim[1:3], size_hw, strict=True):
            dim.dim_value = side
    del proto.graph.value_info[:]
    onnx.save(onnx.shape_inference.infer_shapes(proto), target)
    return target


class Pictures(CalibrationDataReader):
    def __init__(self, paths: list[Path], size_hw: tuple[int, int]):
        self.images = iter(
            cv2.resize(
                cv2.imread(str(path), cv2.IMREAD_COLOR_RGB),
                size_hw[::-1],
                interpolation=cv2.INTER_AREA,
            )[None].astype(np.float32)
            for path in paths
        )

    def get_next(self) -> dict | None:
        image = next(self.images, None)
        return None if image is None else {"image": image}


def eight_bit(network: Path, size_hw: tuple[int, int], paths: list[Path], target: Path) -> Path:
    """Static Q/DQ, per channel, everything between the stem and the logits."""
    ready = target.with_suffix(".ready.onnx")
    quant_pre_process(network, ready, skip_symbolic_shape=True)
    quantize_static(
        ready,
        target,
        Pictures(paths, size_hw),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv", "Add", "Concat", "Resize"],
    )
    return target


def openvino(network: Path, hints: dict):
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 2, **hints}
    request = ov.Core().compile_model(str(network), "CPU", hints).create_infer_request()
    return lambda image: request.infer([image])[0]


def onnx_runtime(network: Path):
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = 2, 1
    session = ort.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"image": image})[0]


def litert(network: Path, size_hw: tuple[int, int], target: Path):
    import keras
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    model = keras.models.load_model(network, compile=False)
    call = tf.function(
        lambda image: model(image, training=False),
        input_signature=[tf.TensorSpec((1, *size_hw, 3), tf.float32)],
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([call.get_concrete_function()])
    target.write_bytes(converter.convert())
    interpreter = Interpreter(str(target), num_threads=2)
    interpreter.allocate_tensors()
    take, give = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def infer(image: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(take["index"], image)
        interpreter.invoke()
        return interpreter.get_tensor(give["index"])

    return infer


def measure(engines: dict, image: np.ndarray) -> dict[str, tuple[float, float, float]]:
    times: dict[str, list[float]] = {name: [] for name in engines}
    for turn in range(TURNS):
        for name, infer in engines.items():
            for _ in range(PASSES):
                began = time.perf_counter()
                infer(image)
                if turn >= WARM_UP:
                    times[name].append((time.perf_counter() - began) * 1000)
    return {n: tuple(np.percentile(t, (10, 50, 95))) for n, t in times.items()}


def main() -> None:
    network, keras_file, *pictures = map(Path, sys.argv[1:])
    work = Path(os.environ.get("WORK", "."))
    for size_hw in SIZES_HW:
        name = "x".join(map(str, size_hw))
        fp32 = sized(network, size_hw, work / f"fp32-{name}.onnx")
        int8 = eight_bit(fp32, size_hw, pictures, work / f"int8-{name}.onnx")
        image = next(Pictures(pictures[:1], size_hw).images)
        engines = {
            "OpenVINO fp32": openvino(fp32, {"INFERENCE_PRECISION_HINT": "f32"}),
            "OpenVINO default (bf16)": openvino(fp32, {}),
            "OpenVINO int8": openvino(int8, {"INFERENCE_PRECISION_HINT": "f32"}),
            "ONNX Runtime fp32": onnx_runtime(fp32),
            "ONNX Runtime int8": onnx_runtime(int8),
            "LiteRT fp32": litert(keras_file, size_hw, work / f"fp32-{name}.tflite"),
        }
        wanted = engines["ONNX Runtime fp32"](image)
        rows = measure(engines, image)
        print(f"\n{size_hw[0]}×{size_hw[1]}: p10, p50, p95 ms; mean difference from fp32")
        for engine, infer in engines.items():
            apart = float(np.abs(infer(image) - wanted).mean())
            print(f"{engine:25s}" + "".join(f"{v:8.2f}" for v in rows[engine]) + f"{apart:10.5f}")


if __name__ == "__main__":
    main()
