"""A table as a picture: rows of cells in columns, the best of each marked."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

FACE, SIZE, DARK, PALE = cv2.FONT_HERSHEY_SIMPLEX, 0.42, (25, 25, 25), (150, 150, 150)
LINE, PAD, GAP = 19, 10, 18
IN_LETTERS = {"°": "deg", "↑": "(up)", "↓": "(down)", "·": "*", "–": "-", "…": "..."}  # what the font lacks


def sheet(title: str, rows: Sequence[Sequence[str]], pale: Sequence[int] = ()) -> Tensor:
    """Draws a table, (3, H, W) in [0, 1].

    rows: the first is the heading; all of one length; the first column is left-aligned, the last too where it
        holds sentences, the others right-aligned.
    pale: numbers of rows to draw in grey.
    """
    texts = [[_letters(cell) for cell in row] for row in rows]
    last = max(map(len, texts)) - 1
    wide = [max(_width(row[i]) for row in texts) for i in range(last + 1)]
    left = [PAD + sum(wide[:i]) + GAP * i for i in range(last + 1)]
    width = max(left[-1] + wide[-1] + PAD, _width(_letters(title)) + 2 * PAD)
    height = 2 * PAD + LINE * (len(texts) + 1) + 6
    canvas = np.full((height, width, 3), 255, np.uint8)
    _write(canvas, _letters(title), PAD, PAD + 12, DARK)
    for number, row in enumerate(texts):
        y = PAD + LINE * (number + 1) + 16
        if number % 2 == 0 and number:
            cv2.rectangle(canvas, (0, y - 14), (width, y + 4), (244, 246, 250), -1)
        colour = PALE if number in pale else DARK
        for i, cell in enumerate(row):
            words = i == last and any(" " in other[i] for other in texts)
            x = left[i] if i == 0 or words else left[i] + wide[i] - _width(cell)
            _write(canvas, cell, x, y, colour)
        if number == 0:
            cv2.line(canvas, (PAD, y + 5), (width - PAD, y + 5), PALE, 1)
    return torch.from_numpy(canvas).permute(2, 0, 1) / 255


def _letters(text: str) -> str:
    for sign, said in IN_LETTERS.items():
        text = text.replace(sign, said)
    return text.encode("ascii", "replace").decode()


def _width(text: str) -> int:
    return int(cv2.getTextSize(text, FACE, SIZE, 1)[0][0])


def _write(canvas: np.ndarray, text: str, x: int, y: int, colour: tuple[int, int, int]) -> None:
    cv2.putText(canvas, text, (x, y), FACE, SIZE, colour, 1, cv2.LINE_AA)
