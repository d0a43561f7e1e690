"""The network: an EfficientNet-Lite encoder, a light decoder, a person's alpha at the input's size.

It looks back: its own matte of the frame before enters the decoder, so that edges hold still. The
encoder does not see it and stays the one that ImageNet taught; zeros mean that there is none.

Shapes in the margin are those of width 1. Every activation is ReLU6 and nothing squeezes or
excites, so that the network survives 8-bit quantization; upsampling is by the fixed factor 2, so
that an exported network can be opened at any size whose sides are multiples of 32.
"""

from typing import NamedTuple, TypeAlias

import keras
from keras import layers


class Stage(NamedTuple):
    """One row of the EfficientNet table (Tan and Le 2019, table 1; Lite: no squeeze-excite)."""

    blocks: int
    kernel: int
    stride: int
    expand: int
    channels: int


# The table's last stage (320 channels) and its classifier are left out: at H/32 the decoder needs
# a place and a rough shape, not a thousand classes, and the stage is a sixth of the weights.
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
)
DECODER = (128, 64, 24, 16)  # channels at H/16, H/8, H/4, H/2: pixels quadruple, so width shrinks
ENCODER = ("stem_", "block")  # how the names of the encoder's layers begin

Tensor: TypeAlias = keras.KerasTensor


def build_unet(width: float = 1.0, depth: float = 1.0) -> keras.Model:
    """Build the network for pictures of any size whose sides are multiples of 32."""
    image = keras.Input((None, None, 3), name="image")  # (N, H, W, 3), RGB 0–255
    previous = keras.Input((None, None, 1), name="previous")  # (N, H, W, 1), alpha 0–1
    skips = encoder(layers.Rescaling(1 / 128, offset=-127 / 128)(image), width, depth)
    x = bottleneck(skips.pop(), width)  # (N, H/32, W/32, 192)
    x = decoder(x, skips, memory(previous, width), width)  # (N, H/2, W/2, 16)
    # Two by two logits from every half-size pixel: full size without a full-size convolution.
    logits = layers.Conv2DTranspose(1, 2, strides=2, name="logits")(x)  # (N, H, W, 1)
    alpha = layers.Activation("sigmoid", dtype="float32", name="alpha")(logits)
    return keras.Model({"image": image, "previous": previous}, alpha, name="person")


def freeze_encoder_norms(model: keras.Model) -> None:
    """Keep ImageNet's statistics in the encoder.

    Sixteen pictures say less about them than ImageNet did, and a step takes a third less time
    (0.32 instead of 0.48 s at 192×192, two cores).
    """
    for layer in model.layers:
        if layer.name.startswith(ENCODER) and layer.name.endswith("_norm"):
            layer.trainable = False


def freeze_blocks(model: keras.Model, blocks: int) -> None:
    """Keep the weights of the encoder's first blocks, and of the stem below them, as they are."""
    names = ("stem_", *(f"block{number}_" for number in range(blocks)))
    for layer in model.layers:
        if blocks and layer.name.startswith(names):
            layer.trainable = False


def encoder(x: Tensor, width: float, depth: float) -> list[Tensor]:
    """Five feature maps, at H/2 … H/32, each the last of its size."""
    x = _conv(x, _channels(32, width), "stem", kernel=3, strides=2)
    skips: list[Tensor] = []
    first = 0  # number of the stage's first block; a shallower network leaves out each stage's last
    for row, stage in enumerate(STAGES):
        if stage.stride == 2:
            skips.append(x)  # (N, H/2, W/2, 16), then 24 at H/4, 40 at H/8, 112 at H/16
        blocks = stage.blocks if row == 0 else max(1, round(stage.blocks * depth))
        for repeat in range(blocks):
            strides = stage.stride if repeat == 0 else 1
            x = _inverted_residual(
                x, stage, strides, _channels(stage.channels, width), first + repeat
            )
        first += stage.blocks
    return [*skips, x]  # (N, H/32, W/32, 192)


def bottleneck(x: Tensor, width: float) -> Tensor:
    """Look far around: two 5×5 depthwise steps see most of the picture at H/32."""
    x = _conv(x, _channels(192, width), "neck")
    for step in (1, 2):
        x = layers.Add()([x, _separable(x, x.shape[-1], f"neck{step}", kernel=5)])
    return x


def memory(previous: Tensor, width: float) -> list[Tensor]:
    """What the matte before says, at H/2, H/4 and H/8.

    At first it says nothing (its scales are zero), so that a network trained without memory goes on
    as it was and learns to use it.
    """
    levels = []
    for channels in reversed(DECODER[1:]):
        name = f"memory{channels}"
        conv = layers.Conv2D(
            _channels(channels, width), 3, 2, padding="same", use_bias=False, name=f"{name}_conv"
        )
        previous = layers.BatchNormalization(
            momentum=0.99, epsilon=1e-3, gamma_initializer="zeros", name=f"{name}_norm"
        )(conv(previous))
        levels.append(previous)
    return levels


def decoder(x: Tensor, skips: list[Tensor], memories: list[Tensor], width: float) -> Tensor:
    """Climb back to H/2, meeting the encoder's map of each size, and the memory's, on the way.

    Whole convolutions where there are few pixels: with separable ones the network did not even fit
    the pictures it learned from, and in 8 bits they cost 7 % of the pass (docs/network.md).
    """
    skips, memories = list(reversed(skips)), [None, *reversed(memories)]
    for channels, skip, remembered in zip(DECODER, skips, memories, strict=True):
        name = f"up{channels}"
        channels = _channels(channels, width)
        x = _conv(x, channels, f"{name}_below")  # thin first: upsampling then moves less
        # Pixels repeated, not blended: OpenVINO does this in 8 bits, and 6 % of the pass is saved.
        x = layers.UpSampling2D(2, name=f"{name}_double")(x)
        met = _conv(skip, channels, f"{name}_skip")
        if remembered is not None:
            met = layers.Add(name=f"{name}_remembered")([met, remembered])
        x = layers.Concatenate(name=f"{name}_met")([x, met])
        if skip is skips[-1]:
            x = _separable(x, channels, f"{name}_mix")
        else:
            x = _conv(x, channels, f"{name}_mix", kernel=3)
    return x


def _inverted_residual(x: Tensor, stage: Stage, strides: int, channels: int, number: int) -> Tensor:
    name, before, inside = f"block{number}", x, x.shape[-1] * stage.expand
    if stage.expand > 1:
        x = _conv(x, inside, f"{name}_expand")
    x = layers.DepthwiseConv2D(
        stage.kernel, strides, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = _norm(x, f"{name}_depthwise", relu=True)
    x = _conv(x, channels, f"{name}_project", relu=False)
    return layers.Add()([before, x]) if strides == 1 and before.shape[-1] == channels else x


def _separable(x: Tensor, channels: int, name: str, *, kernel: int = 3) -> Tensor:
    x = layers.DepthwiseConv2D(kernel, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    return _conv(_norm(x, f"{name}_depthwise", relu=True), channels, name)


def _conv(
    x: Tensor, channels: int, name: str, *, kernel: int = 1, strides: int = 1, relu: bool = True
) -> Tensor:
    conv = layers.Conv2D(
        channels, kernel, strides, padding="same", use_bias=False, name=f"{name}_conv"
    )
    return _norm(conv(x), name, relu=relu)


def _norm(x: Tensor, name: str, *, relu: bool) -> Tensor:
    x = layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=f"{name}_norm")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if relu else x


def _channels(channels: int, width: float) -> int:
    """Scale to a multiple of 8 (what vector units like), never losing more than a tenth."""
    scaled = max(8, int(channels * width + 4) // 8 * 8)
    return scaled + 8 if scaled < 0.9 * channels * width else scaled
