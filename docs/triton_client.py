"""A clip with its network on a Triton server: everything else runs here, as in run.py video.

    python run.py export models/person.keras OUT_DIR --precision fp16 --triton
    tritonserver --model-repository OUT_DIR
    pip install 'tritonclient[grpc]'
    python docs/triton_client.py talk.mp4 talk-blurred.mp4 localhost:8001 person

A clip is a sequence, and so is what follows a cut: Triton keeps the matte of the frame before and
shows it to the network with the next frame, so that only pictures go there. `Triton` below is all
that another program needs: send the first frame with sequence_start, the last with sequence_end,
one frame at a time. Pictures are (1, H, W, 3) float32, RGB 0-255, in the size of the network, and
what they do not fill is gray (127).
"""

from __future__ import annotations

import secrets
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import tritonclient.grpc as grpc
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))
from stream import StreamError
from stream.config import VideoConfig
from stream.main import video

Image = NDArray[np.float32]


class Triton:
    """A network on a Triton server, as the app's own engines are: see stream/interfaces.py."""

    def __init__(self, url: str, model: str) -> None:
        """`url` is HOST:PORT of its gRPC service. Raises StreamError where nobody serves there."""
        self._client, self._model = grpc.InferenceServerClient(url), model
        try:
            config = self._client.get_model_config(model).config
        except grpc.InferenceServerException as error:
            self._client.close()
            raise StreamError(f"cannot ask {url} for {model}: {error.message()}") from error
        self._hw = tuple(next(each.dims for each in config.input if each.name == "image")[:2])
        self._sequence = 0
        self.name = f"Triton at {url}, {model}"

    def fit(self, display_hw: tuple[float, float]) -> tuple[int, int]:
        """The network's own input size, whatever is shown."""
        return self._hw[0], self._hw[1]

    def infer(self, image: Image, previous: Image) -> Image:
        """(1, H, W, 3) RGB 0-255 → (1, H, W, 1) alpha 0-1; zeros before it begin a sequence."""
        starts = not previous.any()
        if starts:
            self._end()
            self._sequence = secrets.randbits(62) + 1
        return self._asked(image, self._sequence, start=starts)

    def close(self) -> None:
        """Let the server forget; safe to call twice."""
        with suppress(StreamError):  # a server that is gone, or slow, forgets by itself
            self._end()
        self._client.close()

    def _end(self) -> None:
        """The last frame is known for the last only now: nothing, once, ends the sequence."""
        ended, self._sequence = self._sequence, 0
        if ended:
            self._asked(np.zeros((1, *self._hw, 3), np.float32), ended, end=True)

    def _asked(
        self, image: Image, sequence: int, *, start: bool = False, end: bool = False
    ) -> Image:
        given = grpc.InferInput("image", list(image.shape), "FP32")
        given.set_data_from_numpy(image)
        try:
            answer = self._client.infer(
                self._model,
                [given],
                sequence_id=sequence,
                sequence_start=start,
                sequence_end=end,
                outputs=[grpc.InferRequestedOutput("alpha")],
            )
        except grpc.InferenceServerException as error:
            raise StreamError(f"{self.name} does not answer: {error.message()}") from error
        return answer.as_numpy("alpha")


def main(source: str, target: str, url: str, model: str) -> None:
    """Blur the room of a clip."""
    report = video(VideoConfig(source, Path(target)), engine=lambda shown_hw: Triton(url, model))
    print(*report.lines(), sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
