"""READ FIRST: a model on this machine, from requests to replies.

prompts  = encode_prompt(messages, processor, manner)      prompt.py, by the chat template
prefix   = what all of them begin with                     prefix.py, computed once and kept for the next part
answers  = model.generate(rows after the prefix, form)     grammar.py holds each row to its schema
replies  = texts with token probabilities
"""

import threading
import time
from collections.abc import Sequence

from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.backends.box_conventions import BoxConvention
from vlm_inspect.backends.hf.engine import Engine
from vlm_inspect.backends.hf.families import find_manner
from vlm_inspect.backends.hf.folder import open_folder
from vlm_inspect.backends.hf.grammar import GeneratedText
from vlm_inspect.backends.hf.loading import check_placement, load_model, load_processor
from vlm_inspect.backends.hf.memory import check_fits, estimate_need
from vlm_inspect.backends.learned import BoxHabit, boxes_of, remember_boxes
from vlm_inspect.backends.settings import Placement
from vlm_inspect.errors import BackendError
from vlm_inspect.inspection import Usage

MAX_TOKENS = 1024


class HuggingFaceModel:
    """A vision-language model of the transformers library."""

    def __init__(self, name: str, placement: Placement | None = None, *, max_tokens: int = MAX_TOKENS) -> None:
        """Check that the model can be used; its weights are loaded with the first request.

        Args:
            name: a folder, or the id of a repository that is in the hub's cache on this machine.
            placement: device, number type, quantization; None: on what this machine has, as stored.
            max_tokens: longest answer in tokens. Before it is reached, the answer is brought to its end.

        Raises:
            BackendError: no such model, no vision model, code of its own wanted, or too little memory.
        """
        placement = placement or Placement()
        self._folder = open_folder(name, trust_remote_code=placement.trust_remote_code)
        self._placement = placement
        self._device = check_placement(self._folder, placement)
        check_fits(
            self._folder,
            estimate_need(self._folder, dtype=placement.dtype, quantize=placement.quantize),
            self._device,
        )
        self._max_tokens = max_tokens
        self._lock = threading.Lock()
        self._engine: Engine | None = None

    @property
    def name(self) -> str:
        """PROVIDER:NAME, for the record."""
        return self._folder.name

    @property
    def boxes(self) -> BoxConvention:
        """How this model is asked for boxes: as `doctor` found it to write them, else as its family does."""
        return boxes_of("", self.name, known_as=f"{self.name} {self._folder.model_type}")

    def keep_boxes(self, habit: BoxHabit) -> None:
        """Keep how this model was found to write boxes."""
        remember_boxes("", self.name, habit)

    def generate(self, request: Request, *, samples: int = 1) -> Sequence[Reply]:
        """Answer the request `samples` times, in one batch.

        Raises:
            BackendError: the model cannot be loaded, or the request is too long for it.
        """
        (replies,) = self.generate_batch([request], samples=samples)
        return replies

    def generate_batch(self, requests: Sequence[Request], *, samples: int = 1) -> list[list[Reply]]:
        """Answer several requests in one batch, each `samples` times.

        Raises:
            BackendError: the model cannot be loaded, or a request is too long for it.
        """
        if not requests:
            return []
        with self._lock:
            started = time.monotonic()
            try:
                engine = self._loaded()
                prompts = [engine.encode(request) for request in requests]
                answers = engine.answer(prompts, requests, samples)
            except RuntimeError as error:
                raise BackendError(f"{self.name}: {_explanation(error)}") from error
        elapsed_s = (time.monotonic() - started) / len(answers)
        counts = [len(prompt.ids) for prompt in prompts]
        replies = [
            self._reply(answer, 0 if number % samples else counts[number // samples], elapsed_s)
            for number, answer in enumerate(answers)
        ]
        return [replies[i : i + samples] for i in range(0, len(replies), samples)]

    def _loaded(self) -> Engine:
        if self._engine is None:
            processor = load_processor(self._folder, self._placement)
            manner = find_manner(self._folder.model_type, processor, self.name)
            model = load_model(self._folder, self._placement, self._device)
            self._engine = Engine(self.name, model, processor, manner, self._max_tokens)
        return self._engine

    def _reply(self, answer: GeneratedText, prompt_tokens: int, elapsed_s: float) -> Reply:
        """Make a reply. A prompt is counted once, with the first of its answers; the time of a batch in equal parts."""
        usage = Usage(
            prompt_tokens=prompt_tokens,
            completion_tokens=answer.length,
            latency_s=elapsed_s,
            calls=1 if prompt_tokens else 0,
        )
        finish_reason = "stop" if answer.ended else "length"
        return Reply(answer.text, finish_reason, answer.tokens, usage, self.name.removeprefix("hf:"))

    def __repr__(self) -> str:
        return f"HuggingFaceModel({self.name!r}, device={self._device!r})"


def _explanation(error: RuntimeError) -> str:
    """Return the first line of what torch says, with advice where memory ran out."""
    told = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
    if "out of memory" in told.lower() or "not enough memory" in told.lower():
        return f"out of memory ({told}); use --quantize 4bit, fewer references or a smaller model"
    return f"the model failed: {told}"
