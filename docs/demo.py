"""Makes a clip, gives it a new background, and a before/after picture: `make demo`.

    python docs/demo.py FOLDER

The clip is NASA's public-domain portrait of astronaut Eileen Collins, which scikit-image carries,
moved like a hand-held camera, with a tune. The background is painted here, too.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import av
import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
import run

RATE = 30
SECONDS = 6
SIDE = 640  # pixels
SOUND_RATE = 48_000
TUNE_HZ = (261.63, 329.63, 392.0, 523.25, 392.0, 329.63)


def main(folder: Path) -> int:
    """Make everything in `folder`; say where it lies."""
    folder.mkdir(parents=True, exist_ok=True)
    clip, background, after = (
        folder / name for name in ("portrait.mp4", "sunset.png", "portrait-sunset.mp4")
    )
    write_clip(clip, portrait())
    cv2.imwrite(str(background), sunset(SIDE, SIDE))
    code = run.main(["video", str(clip), str(after), "--background", str(background), "--force"])
    if code == 0:
        picture = folder / "before-after.png"
        cv2.imwrite(str(picture), np.hstack([middle_frame(clip), middle_frame(after)]))
        print(f"\nbefore: {clip}\nafter:  {after}\nboth:   {picture}")
    return code


def portrait() -> np.ndarray:
    """The portrait, (512, 512, 3) BGR, from scikit-image's files; its code is not loaded."""
    try:
        path = Path(distribution("scikit-image").locate_file("skimage/data/astronaut.png"))
    except PackageNotFoundError:
        sys.exit("the portrait is missing: pip install --no-deps scikit-image==0.26.0")
    return cv2.imread(str(path))


def write_clip(path: Path, picture: np.ndarray) -> None:
    """The picture through a camera that an unsteady hand holds, and a tune."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", RATE, options={"crf": "16"})
        video.width = video.height = SIDE
        video.pix_fmt = "yuv420p"
        sound = container.add_stream("aac", SOUND_RATE, layout="mono")
        for number in range(RATE * SECONDS):
            moved = cv2.warpAffine(
                picture, hand(number / RATE), (SIDE, SIDE), flags=cv2.INTER_CUBIC
            )
            frame = av.VideoFrame.from_ndarray(moved, "bgr24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for start in range(0, SOUND_RATE * SECONDS, 1024):
            frame = av.AudioFrame.from_ndarray(tune(start, 1024)[None], "fltp", "mono")
            frame.sample_rate, frame.pts = SOUND_RATE, start
            frame.time_base = Fraction(1, SOUND_RATE)
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))


def hand(seconds: float) -> np.ndarray:
    """(2, 3) map from the portrait to the frame: a slow sway, a little turn, a breath of zoom."""
    zoom = SIDE / 512 * (1.12 + 0.03 * np.sin(0.9 * seconds))
    turn = cv2.getRotationMatrix2D((256, 256), 1.5 * np.sin(1.7 * seconds + 1), zoom)
    sway = np.array([14 * np.sin(1.1 * seconds), 9 * np.sin(1.9 * seconds + 2)])
    turn[:, 2] += SIDE / 2 - 256 + sway
    return turn


def tune(start: int, count: int) -> np.ndarray:
    """`count` samples of a plucked chord, from sample `start` on."""
    seconds = (start + np.arange(count)) / SOUND_RATE
    note = (seconds * 2).astype(int) % len(TUNE_HZ)
    pitch = np.array(TUNE_HZ)[note]
    return (0.2 * np.sin(2 * np.pi * pitch * seconds) * np.exp(-6 * (seconds * 2 % 1))).astype("f4")


def sunset(height: int, width: int) -> np.ndarray:
    """(H, W, 3) BGR: a sky, a sun, and hills in front of each other."""
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width])[:, None, None]
    top, bottom = np.array([120.0, 60, 50]), np.array([90.0, 150, 250])
    sky = top + (bottom - top) * np.clip(y * 1.5, 0, 1)[..., None]
    glow = np.exp(-(((x - 0.78) ** 2 + (y - 0.5) ** 2) / 0.02))[..., None]
    sky = sky * (1 - glow) + np.array([180.0, 225, 255]) * glow
    for number, base in enumerate((0.62, 0.72, 0.84)):
        ridge = base + 0.05 * np.sin(5 * x + 2 * number) + 0.02 * np.sin(17 * x + number)
        shade = np.array([95.0, 70, 85]) * (0.9 - 0.28 * number)
        sky = np.where((y > ridge)[..., None], shade, sky)
    return sky.astype(np.uint8)


def middle_frame(path: Path) -> np.ndarray:
    """(H, W, 3) BGR of the frame halfway through a clip."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return frames[len(frames) // 2].to_ndarray(format="bgr24")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo")))
