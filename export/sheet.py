"""The contact sheet: the worst cases side by side, so that a look tells what goes wrong."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from export import ExportError
from export.scoreboard import COLUMNS, Case, Evaluation

TILE_PX, GAP_PX, MARGIN_PX, TITLE_PX, CAPTION_PX = 208, 6, 24, 52, 36
CASES_PER_LINE = 2
SHOWN = ("picture", "truth", "matte", "composite")
CASE_PX = len(SHOWN) * (TILE_PX + GAP_PX) - GAP_PX
WIDTH_PX = CASES_PER_LINE * (CASE_PX + MARGIN_PX) + MARGIN_PX
SCORED = ("iou", "boundary_f", "mad")  # what stands under a case
PAPER, INK, FAINT = (24, 24, 27), (236, 236, 236), (150, 150, 156)
UNKNOWN = 96  # gray of the pixels whose truth nobody knows
GREEN = np.array((0, 177, 64))  # under the composites: few people wear it

RGB = tuple[int, int, int]


def write_sheet(evaluations: list[Evaluation], path: Path) -> None:
    """Write the worst cases of each set of pictures, the lowest IoU first."""
    strips = [strip for each in evaluations for strip in (_title(each), *_lines(each.worst))]
    sheet = Image.new("RGB", (WIDTH_PX, sum(strip.height for strip in strips) + MARGIN_PX), PAPER)
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    _save(sheet, path)


def _title(evaluation: Evaluation) -> Image.Image:
    count = f"the {len(evaluation.worst)} worst of {len(evaluation.rows)}"
    strip = Image.new("RGB", (WIDTH_PX, TITLE_PX), PAPER)
    _letter(strip, MARGIN_PX, 18, f"{evaluation.method} on {evaluation.pictures}: {count}", INK, 18)
    _letter(strip, WIDTH_PX // 2 + MARGIN_PX // 2, 22, " · ".join(SHOWN), FAINT, 14)
    return strip


def _lines(cases: list[Case]) -> list[Image.Image]:
    starts = range(0, len(cases), CASES_PER_LINE)
    return [_line(cases[start : start + CASES_PER_LINE]) for start in starts]


def _line(cases: list[Case]) -> Image.Image:
    """Cases beside each other: the tiles of each in a row, its name and scores below."""
    rows = [_tiles(case) for case in cases]
    tallest = max(tile.height for tiles in rows for tile in tiles)
    strip = Image.new("RGB", (WIDTH_PX, tallest + CAPTION_PX), PAPER)
    left = MARGIN_PX
    for case, tiles in zip(cases, rows, strict=True):
        for place, tile in enumerate(tiles):
            beside = left + place * (TILE_PX + GAP_PX) + (TILE_PX - tile.width) // 2
            strip.paste(tile, (beside, tallest - tile.height))
        scores = (
            f"{COLUMNS[name][0]} {COLUMNS[name][1].format(case.row[name])}" for name in SCORED
        )
        _letter(strip, left, tallest + 6, case.sample.image.stem[:50], INK, 14)
        _letter(strip, left + CASE_PX // 2, tallest + 6, "   ".join(scores), FAINT, 14)
        left += CASE_PX + MARGIN_PX
    return strip


def _tiles(case: Case) -> list[Image.Image]:
    """Picture, truth (gray where unknown), matte, and the picture over green."""
    image, mask, weight = case.sample.read()
    alpha = case.alpha[..., np.newaxis]  # (H, W, 1)
    composite = alpha * image + (1 - alpha) * GREEN
    planes = (image, np.where(weight > 0, mask, UNKNOWN), case.alpha * 255, composite)
    pictures = (Image.fromarray((plane + 0.5).astype(np.uint8)).convert("RGB") for plane in planes)
    return [ImageOps.contain(picture, (TILE_PX, TILE_PX)) for picture in pictures]


def _letter(strip: Image.Image, left: int, top: int, text: str, ink: RGB, size: int) -> None:
    ImageDraw.Draw(strip).text((left, top), text, ink, ImageFont.load_default(size))


def _save(sheet: Image.Image, path: Path) -> None:
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        sheet.save(part)
        part.replace(path)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error}") from error
    finally:
        part.unlink(missing_ok=True)
