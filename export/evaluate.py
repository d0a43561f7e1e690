"""Scores of our network, run as the app runs it, of finished mattes, and of others' networks."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from export import ExportError
from export.config import EvaluateConfig
from export.methods import AppNetwork, FinishedMattes, Method
from export.picture_sets import PictureSet, picture_sets
from export.scoreboard import Case, Evaluation, ForwardPass, Row, Scoreboard
from stream import StreamError
from train import TrainError
from train.metrics import Alpha, Mask, dtssd, scores
from train.sample import Sample

if TYPE_CHECKING:
    from export.peers import Peer

OnPicture = Callable[[int, int | None], None]  # told how many pictures are done, of how many


class Moment(NamedTuple):
    """One picture's matte and truth; all three have the same height and width."""

    alpha: Alpha
    truth: Alpha
    known: Mask


def main(config: EvaluateConfig, on_picture: OnPicture = lambda done, total: None) -> Scoreboard:
    """Score what is asked for on the pictures that are asked for; write the files asked for."""
    try:
        sets = picture_sets(config)
        with ExitStack() as stack:
            ours = stack.enter_context(closing(_ours(config)))
            peers = _peers(config.peers) if config.peers else []
            pairs = [(method, pictures) for pictures in sets for method in (ours, *peers)]
            total, counter = sum(len(pictures.samples) for _, pictures in pairs), count(1)
            keep = config.worst if config.sheet else 0
            evaluations = [
                judge(method, pictures, keep=keep, on_case=lambda: on_picture(next(counter), total))
                for method, pictures in pairs
            ]
            board = Scoreboard(evaluations, _passes(config, peers) if peers else [])
    except (TrainError, StreamError) as error:
        raise ExportError(str(error)) from error
    if config.json:
        board.write(config.json)
    if config.sheet:
        from export.sheet import write_sheet

        write_sheet([each for each in evaluations if each.method == ours.name], config.sheet)
    return board


def _ours(config: EvaluateConfig) -> Method:
    if config.mattes:
        return FinishedMattes(config.mattes)
    return AppNetwork(config.network_file, config.area, config.engine, is_live=config.live)


def _peers(folder: Path) -> "list[Peer]":
    from export.peers import open_peers

    return open_peers(folder)


def _passes(config: EvaluateConfig, peers: "list[Peer]") -> list[ForwardPass]:
    from export.forward import forward_passes, requests_of

    requests = {} if config.mattes else requests_of(config.network_file)
    return forward_passes(requests | {(peer.name, peer.input_hw): peer.request for peer in peers})


def evaluate(
    network: Path,
    samples: Iterable[Sample],
    *,
    is_clip: bool = False,
    area: int | None = None,
    is_live: bool = False,
) -> Evaluation:
    """Run the network on every sample's picture and compare; a clip's frames come in order."""
    with closing(AppNetwork(network, area, is_live=is_live)) as method:
        return judge(method, PictureSet("pictures", list(samples), is_clip))


def judge(
    method: Method,
    pictures: PictureSet,
    *,
    keep: int = 0,
    on_case: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Compare a method's mattes with the truth; the `keep` worst cases stay with their mattes."""
    rows: dict[str, Row] = {}
    worst: list[Case] = []
    for case in _cases(method, pictures):
        rows[case.sample.image.name] = case.row
        worst = sorted([*worst, case], key=lambda each: each.row["iou"])[:keep]
        on_case()
    return Evaluation(method.name, pictures.name, rows, worst)


def _cases(method: Method, pictures: PictureSet) -> Iterator[Case]:
    before = None
    for sample in pictures.samples:
        if before is None or not pictures.is_clip:
            method.begin(pictures.is_clip)
        now = _moment(sample, method)
        row = scores(*now)
        if before is not None and pictures.is_clip:
            row["dtssd"] = _flicker(sample, before, now)
        yield Case(sample, now.alpha, row)
        before = now


def _moment(sample: Sample, method: Method) -> Moment:
    _, mask, weight = sample.read()
    alpha = method.matte(sample.image)
    if alpha.shape != mask.shape:
        raise ExportError(
            f"{method.name} shows {sample.image} as {_size(alpha)}, but its mask is {_size(mask)}"
        )
    return Moment(alpha, mask / np.float32(255), weight > 0)


def _flicker(sample: Sample, before: Moment, now: Moment) -> float:
    if now.alpha.shape != before.alpha.shape:
        raise ExportError(
            f"{sample.image} is {_size(now.alpha)}, the frame before {_size(before.alpha)}: the "
            "frames of a clip are of one size"
        )
    known = now.known & before.known
    return dtssd(now.alpha - before.alpha, now.truth - before.truth, known)


def _size(plane: np.ndarray) -> str:
    return f"{plane.shape[1]}×{plane.shape[0]}"
