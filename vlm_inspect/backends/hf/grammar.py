"""Only tokens that the answer's schema allows, and what each of them was worth.

llguidance (MIT, no dependencies, 8 MB) tells at every step which tokens may follow. Two others were tried with the
schema of `inspect` and 32,000 tokens on one CPU core: outlines-core did not finish its table within 100 s, since that
grows with the longest text; xgrammar took 3.1 s and wants triton (280 MB). llguidance starts in 5 ms and takes 0.2 ms
a token.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vlm_inspect.backends.backend import TokenProbability
from vlm_inspect.errors import BackendError

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

_ALTERNATIVES = 12
_VERDICT = re.compile(r'"(anomalous|correctness)": ?(true|false|[01])')
"""Within a text the quotes would be escaped, so this is a key and its value."""
_KEY_AND_VALUE = 40
_SEPARATORS: "JsonCompileOptions" = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""As `json.dumps` writes it: free blanks would let a model put off its verdict for ever."""
_CLOSERS = ('"', "}", "]")
"""Signs in the order in which they end an answer: within a text only the first one does."""


class Vocabulary:
    """The tokens of a model, as the grammar sees them. Made once for each model: it takes a second."""

    def __init__(self, tokenizer: Any, size: int, end_ids: Sequence[int]) -> None:
        """Read the tokens.

        Args:
            tokenizer: of the processor.
            size: number of the model's logits.
            end_ids: tokens that end an answer.

        Raises:
            BackendError: the tokenizer is not one of the `tokenizers` library.
        """
        import llguidance.hf

        self.end_ids = tuple(end_ids)
        self.size = size
        try:
            self.tokens = llguidance.hf.from_tokenizer(tokenizer, n_vocab=size, eos_token=list(end_ids))
        except ValueError as error:
            raise BackendError(f"the model's tokenizer cannot be constrained to the answer's form: {error}") from error

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of tokens, control tokens left out."""
        spoken = [token for token in ids if not self.tokens.is_special_token(token) and token not in self.end_ids]
        return bytes(self.tokens.decode_bytes(spoken)).decode("utf-8", errors="replace")

    @cached_property
    def blanks(self) -> Any:
        """Which tokens are nothing but blanks, as booleans."""
        import torch

        texts = (self.tokens.decode_bytes([token]) for token in range(self.size))
        return torch.tensor([bool(text) and not text.strip() for text in texts])

    @cached_property
    def closers(self) -> tuple[tuple[int, ...], ...]:
        """Tokens that are exactly `"`, `}` and `]`, in the order in which they end an answer."""
        found: dict[str, list[int]] = {sign: [] for sign in _CLOSERS}
        for token in range(self.size):
            text = self.tokens.decode_bytes([token]) if not self.tokens.is_special_token(token) else b""
            if len(text) == 1 and (sign := chr(text[0])) in found:
                found[sign].append(token)
        return tuple(tuple(found[sign]) for sign in _CLOSERS)

    def grammar(self, schema: Mapping[str, Any]) -> str:
        """Return the compiled grammar of a bounded schema.

        Raises:
            BackendError: the schema uses what the library does not know.
        """
        import llguidance

        grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=_SEPARATORS)
        matcher = llguidance.LLMatcher(self.tokens, grammar)
        if matcher.is_error():
            raise BackendError(f"the answer's schema cannot be enforced: {' '.join(matcher.get_error().split())[:300]}")
        return str(grammar)


@dataclass(frozen=True)
class Allowance:
    """The form of one answer."""

    grammar: str | None
    """None: any text."""
    reserve: int
    """Tokens kept back to end the answer when the limit comes near."""


@dataclass(frozen=True)
class GeneratedText:
    """One row of a batch when it is done."""

    text: str
    tokens: tuple[TokenProbability, ...]
    """Up to the verdict."""
    length: int
    """Number of tokens."""
    ended: bool
    """False where the limit came first."""


class AnswerForm:
    """Keeps each row of a batch within its grammar, and notes the probability of each chosen token.

    Probabilities are those among the allowed tokens at temperature 1, whatever is sampled: at the verdict they are
    those of true and false, and sum to 1. Nothing is noted behind the verdict, so that no text that follows, such as
    the answer to a question, can be taken for one.
    """

    def __init__(self, vocabulary: Vocabulary, allowances: Sequence[Allowance], limit: int, prompt_length: int) -> None:
        """Start with one row for each allowance.

        Args:
            vocabulary: of the model.
            allowances: form of the answer of each row.
            limit: most tokens of an answer.
            prompt_length: tokens before the answers.
        """
        self._vocabulary = vocabulary
        self._rows = [_Row(vocabulary, allowance) for allowance in allowances]
        self._limit = limit
        self._prompt_length = prompt_length

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Return the logits (rows x vocabulary) with every token that may not follow at minus infinity."""
        import torch

        step = int(input_ids.shape[1]) - self._prompt_length
        self._note(input_ids, step)
        allowed = torch.zeros(scores.shape, dtype=torch.bool)
        for number, row in enumerate(self._rows):
            allowed[number] = row.allowed(closing=self._limit - step <= row.reserve, scores=scores[number])
        masked = scores.float().masked_fill(~allowed.to(scores.device), -torch.inf)
        if not masked.max(-1).values.isfinite().all():
            raise BackendError("the model gave no numbers (NaN) for its next word; load it as float32 or bfloat16")
        for number, row in enumerate(self._rows):
            row.look(masked[number])
        return masked

    def finish(self, sequences: Any) -> list[GeneratedText]:
        """Return the answer of every row."""
        self._note(sequences, int(sequences.shape[1]) - self._prompt_length)
        return [
            GeneratedText(self._vocabulary.text(row.ids), tuple(row.tokens), len(row.ids), row.ended)
            for row in self._rows
        ]

    def _note(self, sequences: Any, step: int) -> None:
        if step > 0:
            for row, token in zip(self._rows, sequences[:, -1].tolist(), strict=True):
                row.take(int(token))


class _Row:
    """One answer under way."""

    def __init__(self, vocabulary: Vocabulary, allowance: Allowance) -> None:
        import llguidance

        self._vocabulary = vocabulary
        self._matcher = llguidance.LLMatcher(vocabulary.tokens, allowance.grammar) if allowance.grammar else None
        self._log_probabilities: Any = None
        self._text = ""
        self._judged = False
        self.reserve = allowance.reserve
        self.ids: list[int] = []
        self.tokens: list[TokenProbability] = []
        self.ended = False

    def allowed(self, *, closing: bool, scores: Any) -> Any:
        """Return which tokens may follow, as booleans; when closing, the one that ends the answer soonest."""
        import torch

        if self._matcher is None or self.ended:
            return torch.ones(scores.shape, dtype=torch.bool)
        ends = torch.zeros(scores.shape, dtype=torch.bool)
        ends[list(self._vocabulary.end_ids)] = True
        if self._matcher.is_stopped():
            return ends
        allowed = self._mask(int(scores.shape[0]))
        if self._matcher.is_accepting():
            return ends  # an object that is closed is the whole answer
        allowed &= ~ends
        if self._text.endswith('":') and (telling := allowed & ~self._vocabulary.blanks).any():
            return telling  # else a lone blank would come before the verdict, and share its probability
        for closers in self._vocabulary.closers if closing else ():
            chosen = torch.zeros_like(allowed)
            chosen[list(closers)] = True
            if (chosen & allowed).any():
                return chosen & allowed
        return allowed

    def look(self, masked: Any) -> None:
        """Keep the log-probabilities until the token is chosen."""
        self._log_probabilities = None if self.ended else masked.log_softmax(-1)

    def take(self, token: int) -> None:
        """Take over the token that was chosen."""
        if self.ended:
            return
        if token in self._vocabulary.end_ids:
            self.ended = True
            return
        if self._matcher is not None and not self._matcher.consume_token(token):
            raise BackendError(f"the answer left its form: {' '.join(self._matcher.get_error().split())[:200]}")
        self.ids.append(token)
        if not self._judged:
            self.tokens.append(self._probability(token))
        self._text = (self._text + self._vocabulary.text([token]))[-_KEY_AND_VALUE:]
        self._judged = self._judged or _VERDICT.search(self._text) is not None

    def _probability(self, token: int) -> TokenProbability:
        import numpy as np

        values, ids = self._log_probabilities.topk(_ALTERNATIVES)
        told: dict[str, float] = {}
        for value, other in zip(values.tolist(), ids.tolist(), strict=True):
            text = self._vocabulary.text([other])
            if value > -100.0:  # several tokens may spell the same
                told[text] = float(np.logaddexp(told[text], value)) if text in told else value
        return TokenProbability(self._vocabulary.text([token]), float(self._log_probabilities[token]), told)

    def _mask(self, size: int) -> Any:
        import numpy as np
        import torch

        bits = (
            np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8) if self._matcher else np.empty(0, np.uint8)
        )
        flags = np.unpackbits(bits, bitorder="little").astype(bool)[:size]
        mask = torch.zeros(size, dtype=torch.bool)
        mask[: len(flags)] = torch.from_numpy(flags)
        return mask
