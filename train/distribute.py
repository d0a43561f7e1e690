"""Several devices that learn from every batch together: each takes its share of the pictures.

The only file that names TensorFlow: Keras splits batches by itself on JAX only (DataParallel);
there, under jit, a batch is one array over all devices and every mean is over the whole batch. In
TensorFlow every replica sees its share alone; norms are told to look at all of them, as the loss
and the gradients do by themselves.
"""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import keras

from train import TrainError


def building(devices: int) -> AbstractContextManager:
    """Inside, networks and optimizers are made once a device. Raises TrainError."""
    if devices == 1:
        return nullcontext()
    names = _take(devices)
    if keras.backend.backend() == "jax":
        return keras.distribution.DataParallel(devices=names).scope()
    import tensorflow as tf

    logging.getLogger("tensorflow").setLevel(logging.WARNING)  # or it tells of every reduction
    return tf.distribute.MirroredStrategy(names).scope()


def fitting(devices: int) -> AbstractContextManager:
    """Inside, batches are split over the devices."""
    # In TensorFlow a model remembers where it was built, and fits outside of that scope.
    return building(devices) if keras.backend.backend() == "jax" else nullcontext()


@contextmanager
def on_one_device() -> Iterator[None]:
    """Suspend the split within `fitting`: a single picture, to be judged, cannot be shared."""
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


def share_norms(model: keras.Model) -> None:
    """Let normalization in TensorFlow measure the whole batch and not each device's share."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = keras.backend.backend() == "tensorflow"


def _take(devices: int) -> list[str]:
    """Names of that many devices: GPUs where there are any, else what TensorFlow or JAX makes of
    the processor."""
    backend = keras.backend.backend()
    if backend not in ("jax", "tensorflow"):
        raise TrainError(
            f"devices {devices}: Keras on {backend} learns on one; use JAX or TensorFlow"
        )
    there = keras.distribution.list_devices() if backend == "jax" else _logical_devices()
    if len(there) < devices:
        is_there = f"{len(there)} {'is' if len(there) == 1 else 'are'} there"
        raise TrainError(f"devices {devices}: only {is_there}: {', '.join(there)}")
    return there[:devices]


def _logical_devices() -> list[str]:
    import tensorflow as tf

    there = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [device.name for device in there]
