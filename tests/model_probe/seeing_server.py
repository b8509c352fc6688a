"""A scripted model that really looks: it decodes the pictures of a request, and lacks what it is told to lack."""

import base64
import io
import json
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.backends.openai_server import Body, Response, answer, completion, status
from vlm_inspect.model_probe.pictures import COLOURS

LACKS = ("pictures", "image_input", "many_pictures", "json", "logprobs", "n", "tools", "sense", "verdicts")


@dataclass
class Model:
    """Answers what the probe asks; `lacks` names what it cannot do."""

    lacks: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)
    boxes: str = "per_mille xy"

    def __call__(self, body: Body) -> Response:
        content = body["messages"][-1]["content"]
        text = content if isinstance(content, str) else "\n".join(b["text"] for b in content if b["type"] == "text")
        pictures = [] if isinstance(content, str) else [_decoded(b) for b in content if b["type"] == "image_url"]
        if pictures and "image_input" in self.lacks:
            return status(400, "this model takes no images")(body)
        if len(pictures) > 3 and "many_pictures" in self.lacks:
            return status(400, "at most 3 images in one prompt")(body)
        if body.get("tools"):
            return self._call_tool(text, body)
        if "bounding box" in text:
            self.asked.append("box")
            return self._say({"box": self._box(pictures[0])}, body)
        if "plus" in text:
            self.asked.append("sum")
            return self._say({"sum": sum(map(int, re.findall(r"\d+", text)[:2]))}, body)
        if "disc" in text:
            self.asked.append("disc")
            return self._say(self._disc(pictures[0]), body)
        if "plain colour" in text:
            self.asked.append("colours")
            return self._say({"colours": [self._colour(p[p.shape[0] // 2, p.shape[1] // 2]) for p in pictures]}, body)
        self.asked.append("plate")
        return self._judge(pictures[1], body)  # the first one is the reference

    def _disc(self, picture: NDArray[np.uint8]) -> dict[str, Any]:
        if "pictures" in self.lacks:
            return {"colour": "red", "row": 2, "column": 2}
        grid = [(r, c) for r in range(3) for c in range(3)]
        middles = {(r, c): picture[32 + 64 * r, 32 + 64 * c] for r, c in grid}
        row, column = next(cell for cell in grid if np.abs(middles[cell].astype(int) - 128).max() > 20)
        return {"colour": self._colour(middles[row, column]), "row": row + 1, "column": column + 1}

    def _box(self, picture: NDArray[np.uint8]) -> list[float]:
        """The rectangle, in `boxes`: unit and order."""
        rows, columns = np.nonzero(np.abs(picture.astype(int) - 128).max(axis=2) > 20)
        height, width = picture.shape[:2]
        unit, order = self.boxes.split()
        wide, high = {"per_mille": (1000, 1000), "pixels": (width, height), "fraction": (1, 1)}[unit]
        xs = [float(side) / width * wide for side in (columns.min(), columns.max() + 1)]
        ys = [float(side) / height * high for side in (rows.min(), rows.max() + 1)]
        return [xs[0], ys[0], xs[1], ys[1]] if order == "xy" else [ys[0], xs[0], ys[1], xs[1]]

    @staticmethod
    def _colour(pixel: NDArray[np.uint8]) -> str:
        return min(COLOURS, key=lambda name: np.abs(np.array(COLOURS[name]) - pixel.astype(int)).sum())

    def _judge(self, plate: NDArray[np.uint8], body: Body) -> Response:
        side = plate.shape[0]
        at = [int(0.2 * side), int(0.8 * side)]
        holes = sum(int(plate[y, x].max()) < 80 for y in at for x in at)
        anomalous = "sense" not in self.lacks and holes < 4
        if "verdicts" in self.lacks:
            return answer("Hard to say.")(body)
        odds = {"true": 0.9, "false": 0.1} if anomalous else {"true": 0.1, "false": 0.9}
        told = {"reasoning": f"{holes} holes", "anomalous": anomalous}
        return self._say(told, body, probabilities=None if "logprobs" in self.lacks else odds)

    def _say(self, told: dict[str, Any], body: Body, **more: Any) -> Response:
        text: str | dict[str, Any] = f"Sure! Here it is:\n{json.dumps(told)}" if "json" in self.lacks else told
        return answer(text, takes_n="n" not in self.lacks, **more)(body)

    def _call_tool(self, text: str, body: Body) -> Response:
        self.asked.append("tool")
        if "tools" in self.lacks:
            return status(400, "tools are not supported by this model")(body)
        number = int(re.search(r"\d+", text)[0])  # type: ignore[index]  # the question holds a number
        call = {
            "id": "1",
            "type": "function",
            "function": {"name": "note_reading", "arguments": f'{{"number": {number}}}'},
        }
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        return completion({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}, body)


def _decoded(block: Body) -> NDArray[np.uint8]:
    data = base64.b64decode(block["image_url"]["url"].partition(",")[2])
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"), np.uint8)
