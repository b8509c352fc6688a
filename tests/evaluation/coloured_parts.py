"""Parts that a model server can tell apart: plain pictures, one colour each; and a model that knows them."""

import base64
import io
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.backends.openai_server import Behaviour, Body, Response, answer

STEPS = (8, 60, 40)
"""Of red from part to part, green from 32 parts to the next, blue from 160 to the next: more than JPEG blurs."""
MOST = 640
"""Parts that can be told apart."""
_BLUE = 100


def coloured_parts(root: Path, count: int) -> Path:
    """Write `count` parts, the odd ones anomalous, and two references: at most `MOST` in all."""
    for number in range(count):
        folder = root / ("anomalous" if number % 2 else "normal")
        _write(folder / f"{number:03}.png", number)
    for number in (count, count + 1):
        _write(root / "references" / f"{number:03}.png", number)
    return root


def number_of(body: Body) -> int:
    """Return which part a request is about: the colour of its last picture."""
    content = body["messages"][-1]["content"]
    urls = [block["image_url"]["url"] for block in content if block["type"] == "image_url"]
    picture = Image.open(io.BytesIO(base64.b64decode(urls[-1].partition(",")[2])))
    red, green, blue = (float(mean) for mean in np.asarray(picture.convert("RGB")).mean(axis=(0, 1)))
    return round(red / STEPS[0]) + 32 * round(green / STEPS[1]) + 160 * round((blue - _BLUE) / STEPS[2])


def verdict_on(number: int) -> dict[str, Any]:
    """Return what the model says of a part: mostly right, surer of some than of others."""
    anomalous = bool(number % 2) != (number % 7 == 3)
    probability = 0.5 + (0.4 if anomalous else -0.4) * (1 - (number * 37 % 50) / 100)
    defects = [{"type": f"spot {number}", "view": 0, "box": [100, 100, 300, 300]}] if anomalous else []
    return {"reasoning": f"Part {number}.", "anomalous": anomalous, "probability": probability, "defects": defects}


class Model:
    """A behaviour of the server: knows the parts, fails as told, and counts what it was asked."""

    def __init__(self, faults: Mapping[int, list[Behaviour | None]] | None = None, delay_s: float = 0.0) -> None:
        """Take faults by part, one a request; None and what comes after the last: the answer."""
        self.asked: Counter[int] = Counter()
        self._faults = {number: list(queue) for number, queue in (faults or {}).items()}
        self._delay_s = delay_s
        self._lock = threading.Lock()

    def __call__(self, body: Body) -> Response:
        number = number_of(body)
        with self._lock:
            self.asked[number] += 1
            queue = self._faults.get(number)
            fault = queue.pop(0) if queue else None
        response = (fault or answer(verdict_on(number)))(body)
        return response if fault else Response(response.body, delay_s=self._delay_s)


def _write(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    red, green, blue = number % 32 * STEPS[0], number // 32 % 5 * STEPS[1], _BLUE + number // 160 * STEPS[2]
    colour = np.array([red, green, blue], np.uint8)
    Image.fromarray(np.tile(colour, (24, 24, 1))).save(path)
