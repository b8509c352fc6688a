"""What belongs there: prints, clean holes, grooves, labels and highlights that are no defect."""

import string

import cv2
import numpy as np

from recipes.dapo_mini.painting.canvas import Canvas, mix, near, some_colour
from recipes.dapo_mini.painting.noise import Random, coordinates

_LETTERS = string.ascii_uppercase + string.digits + "-/."


def add_marks(random: Random, canvas: Canvas) -> None:
    """Give a scene some clean features, most often none."""
    for mark, share in ((_print, 0.2), (_holes, 0.15), (_grooves, 0.12), (_label, 0.08), (_dots, 0.08)):
        if random.random() < share:
            mark(random, canvas)


def _draw(canvas: Canvas, shape: np.ndarray, colour: np.ndarray, strength: float) -> None:
    shape = np.where(canvas.part, shape, 0).astype(np.float32) * strength
    canvas.colour = mix(canvas.colour, colour, shape)


def _print(random: Random, canvas: Canvas) -> None:
    side = canvas.side
    layer = np.zeros((side, side), np.uint8)  # OpenCV smooths lines and letters on bytes only
    for line in range(int(random.integers(1, 4))):
        text = "".join(random.choice(list(_LETTERS), int(random.integers(2, 9))))
        size = side / 512 * random.uniform(0.7, 2.6)
        start = int(random.uniform(0.05, 0.6) * side), int((random.uniform(0.2, 0.7) + 0.1 * line) * side)
        font = int(random.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX]))
        cv2.putText(layer, text, start, font, size, 255, max(1, int(size * 2)), cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), random.choice([0, 0, 90, random.uniform(0, 360)]), 1)
    layer = cv2.warpAffine(layer, turn, (side, side))
    _draw(canvas, layer / np.float32(255), some_colour(random, grey=0.8), random.uniform(0.3, 1))


def _holes(random: Random, canvas: Canvas) -> None:
    side, rows, columns = canvas.side, int(random.integers(1, 5)), int(random.integers(1, 6))
    pitch, radius = random.uniform(0.12, 0.3) * side, random.uniform(0.01, 0.045) * side
    start = random.uniform(0.08, 0.5, 2) * side
    drawn = np.zeros((side, side), np.uint8)
    for row in range(rows):
        for column in range(columns):
            at = int(start[0] + column * pitch), int(start[1] + row * pitch)
            cv2.circle(drawn, at, int(radius), 255, -1, cv2.LINE_AA)
    layer = drawn / np.float32(255)
    dark = np.asarray(canvas.colour.mean(axis=(0, 1)) * random.uniform(0.05, 0.5), np.float32)
    _draw(canvas, layer, dark, 1.0)
    canvas.relief = canvas.relief - np.where(canvas.part, layer, 0).astype(np.float32) * random.uniform(1, 5)


def _grooves(random: Random, canvas: Canvas) -> None:
    _, y = coordinates(canvas.side, random.choice([0.0, 90.0, random.uniform(0, 180)]))
    width = random.uniform(0.004, 0.02)
    for _ in range(int(random.integers(1, 4))):
        line = np.exp(-(((y - random.uniform(-0.9, 0.9)) / width) ** 2)).astype(np.float32)
        canvas.relief = canvas.relief - np.where(canvas.part, line, 0).astype(np.float32) * random.uniform(1, 4)
        _draw(canvas, line, np.zeros(3, np.float32), random.uniform(0, 0.5))


def _label(random: Random, canvas: Canvas) -> None:
    x, y = coordinates(canvas.side, random.choice([0.0, random.uniform(-15, 15)]))
    a, b = random.uniform(0.1, 0.4, 2)
    edge = np.minimum(a - np.abs(x - random.uniform(-0.5, 0.5)), b - np.abs(y - random.uniform(-0.5, 0.5)))
    paper = some_colour(random)
    _draw(canvas, np.clip(edge * canvas.side / 2 + 0.5, 0, 1), paper, 1.0)
    for line in range(int(random.integers(0, 5))):
        bar = np.minimum(edge - 0.04, 0.012 - np.abs(y - 0.05 * line + 0.1))
        _draw(canvas, np.clip(bar * canvas.side / 2 + 0.5, 0, 1), near(random, 1 - paper, 0.1), 0.8)


def _dots(random: Random, canvas: Canvas) -> None:
    """Faint dust all over, as on any real bench: too much of it to be one defect."""
    side = canvas.side
    dust = (random.random((side, side)) < random.uniform(0.0005, 0.004)).astype(np.float32)
    dust = np.clip(cv2.GaussianBlur(dust, (0, 0), side / 512 * random.uniform(0.5, 1.0)) * 4, 0, 1)
    canvas.colour = mix(canvas.colour, some_colour(random, grey=0.8), dust * random.uniform(0.1, 0.4))
