"""A loaded model: requests to answers, in one batch, computing once what they have in common."""

from collections.abc import Sequence
from typing import Any

from vlm_inspect.backends.backend import Request
from vlm_inspect.backends.hf.families import Manner
from vlm_inspect.backends.hf.grammar import Allowance, AnswerForm, GeneratedText, Vocabulary
from vlm_inspect.backends.hf.loading import quiet
from vlm_inspect.backends.hf.pictures import encode_pictures, joined, on_model, takes_features
from vlm_inspect.backends.hf.prefix import Prefix, common_length, share, whole_pictures
from vlm_inspect.backends.hf.prompt import Prompt, encode_prompt
from vlm_inspect.backends.hf.schema import bounded_schema, longest_item, shortest_answer
from vlm_inspect.errors import BackendError

SAMPLING_TEMPERATURE = 0.7
"""Several answers to one request must be able to differ; a single one is the likeliest."""
_CLOSING_MARGIN = 16


class Engine:
    """A loaded model, and the prefix that it computed last. Not for two threads at once."""

    def __init__(self, name: str, model: Any, processor: Any, manner: Manner, max_tokens: int) -> None:
        """Put together what answers.

        Args:
            name: for messages.
            model: a transformers model in evaluation mode.
            processor: of the model.
            manner: how the model is spoken to.
            max_tokens: longest answer in tokens.

        Raises:
            BackendError: the model's tokens cannot be constrained.
        """
        from transformers import GenerationConfig

        self.name, self.model, self.processor, self.manner = name, model, processor, manner
        self._max_tokens = max_tokens
        self._end_ids = _end_ids(model, processor.tokenizer)
        pad = processor.tokenizer.pad_token_id
        self._pad_id = self._end_ids[0] if pad is None else int(pad)
        self._vocabulary = Vocabulary(processor.tokenizer, model.get_output_embeddings().weight.shape[0], self._end_ids)
        # A repetition penalty and its like, which model files bring along, would falsify the probabilities.
        model.generation_config = GenerationConfig(eos_token_id=list(self._end_ids), pad_token_id=self._pad_id)
        self._reuses = takes_features(model)
        self._prefix: Prefix | None = None
        self.reused = 0
        """Tokens that the last batch did not compute again."""

    def answer(self, prompts: Sequence[Prompt], requests: Sequence[Request], samples: int) -> list[GeneratedText]:
        """Answer every request `samples` times; the answers to one request stand together.

        Args:
            prompts: from `encode`, one a request.
            requests: what is asked.
            samples: answers to each.

        Raises:
            BackendError: the schema of a request cannot be enforced.
        """
        rows = [prompt for prompt in prompts for _ in range(samples)]
        allowances = [allowance for request in requests for allowance in [self._allowance(request)] * samples]
        if not self._reuses:
            batches = zip(rows, allowances, strict=True)
            return [self._decode([row], None, [allowance], samples > 1)[0] for row, allowance in batches]
        return self._decode(rows, self.begin(rows), allowances, samples > 1)

    def encode(self, request: Request) -> Prompt:
        """Turn a request into tokens: picture by picture where the model takes that and they fit, else on one sheet.

        Raises:
            BackendError: it is too long for the model even so.
        """
        room = _context(self.model) - self._max_tokens
        prompt = encode_prompt(request.messages, self.processor, self.manner, on_sheet=self.manner.single_picture)
        if len(prompt.ids) > room and len(prompt.pictures) > 1:
            prompt = encode_prompt(request.messages, self.processor, self.manner, on_sheet=True)
        if len(prompt.ids) > room:
            raise BackendError(
                f"{self.name}: the request takes {len(prompt.ids)} tokens and its answer up to {self._max_tokens}, but "
                f"the model reads {room + self._max_tokens}; give fewer references or rules, or use another model"
            )
        return prompt

    def begin(self, rows: Sequence[Prompt]) -> Prefix | None:
        """Compute what all rows begin with, as far as it is not kept from the batch before, and keep it.

        At least the last token of each row is left over. After a single request the whole prompt is kept, until the
        next one shows which part of it is common.
        """
        length = whole_pictures(rows[0], min(common_length(rows), *(len(row.ids) - 1 for row in rows)))
        kept = self._prefix
        if kept is not None:
            kept = kept.cut(min(length, common_length([kept, rows[0]])))
        self.reused = len(kept.ids) if kept else 0
        if self.reused < length:
            kept = self._extended(kept, rows[0], length)
        self._prefix = kept if kept is not None and kept.ids else None
        return self._prefix

    def _extended(self, kept: Prefix | None, prompt: Prompt, length: int) -> Prefix | None:
        """Run the model over the first `length` tokens of a prompt; None for a model whose memory cannot be cut."""
        from transformers import DynamicCache

        pictures = tuple(picture for picture in prompt.pictures if picture.stop <= length)
        head = Prompt(prompt.ids[:length], pictures, prompt.tensors, prompt.token_types and prompt.token_types[:length])
        begun = kept if kept is not None and kept.ids else Prefix((), (), DynamicCache(config=self.model.config))
        if any(begun.cache.is_sliding) or not begun.cache.is_croppable:
            return None
        done = self._run([head], begun, length, whole=prompt, max_new_tokens=1)
        return Prefix(head.ids, pictures, done.cache)

    def _decode(
        self, rows: Sequence[Prompt], prefix: Prefix | None, allowances: Sequence[Allowance], sampled: bool
    ) -> list[GeneratedText]:
        from transformers import LogitsProcessorList

        length = max(len(row.ids) for row in rows)
        form = AnswerForm(self._vocabulary, allowances, self._max_tokens, length)
        sampling: dict[str, Any] = {"do_sample": False}
        if sampled:  # the answers' own spread, not what the model's files would cut it down to
            sampling = {"do_sample": True, "temperature": SAMPLING_TEMPERATURE, "top_k": 0, "top_p": 1.0}
        done = self._run(
            rows,
            prefix,
            length,
            max_new_tokens=self._max_tokens,
            logits_processor=LogitsProcessorList([form]),
            **sampling,
        )
        return form.finish(done.sequences)

    def _run(
        self, rows: Sequence[Prompt], prefix: Prefix | None, length: int, *, whole: Prompt | None = None, **options: Any
    ) -> Any:
        """Generate after a prefix that all rows begin with. Shorter rows are padded behind it.

        `whole` is the prompt that a single row is the head of: its picture tensors are cut.
        """
        import torch
        from transformers import GenerationConfig

        begun = len(prefix.ids) if prefix else 0
        ids, mask, types = [], [], []
        for row in rows:
            gap = length - len(row.ids)
            ids.append([*row.ids[:begun], *[self._pad_id] * gap, *row.ids[begun:]])
            mask.append([*[1] * begun, *[0] * gap, *[1] * (len(row.ids) - begun)])
            if row.token_types is not None:
                types.append([*row.token_types[:begun], *[0] * gap, *row.token_types[begun:]])
        settings = GenerationConfig(
            eos_token_id=list(self._end_ids),
            pad_token_id=self._pad_id,
            return_dict_in_generate=True,
            **{name: options.pop(name) for name in tuple(options) if name != "logits_processor"},
        )
        device = self.model.device
        inputs: dict[str, Any] = {
            "input_ids": torch.tensor(ids, device=device),
            "attention_mask": torch.tensor(mask, device=device),
            **({"mm_token_type_ids": torch.tensor(types, device=device)} if types else {}),
            **self._pictures_after(rows, prefix, whole),
        }
        if prefix is not None:
            inputs["cache"] = share(prefix.cache, len(rows))
        if hasattr(self.model.base_model, "rope_deltas"):
            self.model.base_model.rope_deltas = None  # positions of another prompt's pictures
        with torch.inference_mode(), quiet():
            return self.model.generate(**inputs, **options, generation_config=settings)

    def _pictures_after(self, rows: Sequence[Prompt], prefix: Prefix | None, whole: Prompt | None) -> dict[str, Any]:
        """Return the features of the pictures behind the prefix, and the grids of all, by which places are counted."""
        import torch

        if not self._reuses:
            return {name: on_model(tensor, self.model) for name, tensor in rows[0].tensors.items()}
        first = len(prefix.pictures) if prefix else 0
        outputs = []
        for row in rows:
            output = encode_pictures(self.model, whole or row, first, len(row.pictures))
            outputs += [] if output is None else [output]
        given: dict[str, Any] = {"mm_encoder_outputs": {"image": joined(outputs)}} if outputs else {}
        grids = [row.tensors["image_grid_thw"][: len(row.pictures)] for row in rows if "image_grid_thw" in row.tensors]
        if grids:
            given["image_grid_thw"] = torch.cat(grids).to(self.model.device)
        return given

    def _allowance(self, request: Request) -> Allowance:
        if not request.answer_schema:
            return Allowance(None, 0)
        schema = bounded_schema(request)
        reserve = shortest_answer(schema) + longest_item(schema) + _CLOSING_MARGIN
        if reserve >= self._max_tokens:
            raise BackendError(
                f"{self.name}: an answer may take {self._max_tokens} tokens, too few for this form ({reserve} at least)"
            )
        return Allowance(self._vocabulary.grammar(schema), reserve)


def _end_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Return the tokens that end an answer."""
    size = model.get_output_embeddings().weight.shape[0]
    told = model.generation_config.eos_token_id
    listed = [] if told is None else [told] if isinstance(told, int) else list(told)
    ids = [*listed, *([] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id])]
    ids = [token for token in ids if 0 <= token < size]
    if not ids:
        raise BackendError("the model has no token that ends an answer (eos_token_id)")
    return tuple(dict.fromkeys(int(token) for token in ids))


def _context(model: Any) -> int:
    """Return how many tokens a model reads, prompt and answer together."""
    longest = getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    return int(longest) if longest else 1 << 30
