"""Sentences as padded token ids, the same for every CLIP-like tokenizer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder.encoder import Sentences

if TYPE_CHECKING:
    import torch


class TokenLists(Protocol):
    """A tokenizer: texts to lists of token ids."""

    end: int
    """The id of the end token."""
    padding: int
    """The id that fills the rest of shorter sentences; no method looks at it."""
    size: int
    """How many ids there are."""

    def __call__(self, texts: Sequence[str], most: int) -> list[list[int]]:
        """Return the ids of each text, start and end token included, none longer than `most` (cut at the end)."""
        ...


def pad_sentences(
    texts: Sequence[str], tokenize: TokenLists, context: int, device: "torch.device | str" = "cpu"
) -> Sentences:
    """Return the texts as `Sentences`, padded to the longest of them; `cut` names those over `context` tokens.

    Raises:
        LocalizerError: no text, or one that is empty or holds nothing that the tokenizer knows.
    """
    import torch

    if not texts:
        raise LocalizerError("there is no prompt to encode")
    lists = tokenize(texts, context + 1)
    cut = []
    for index, (text, ids) in enumerate(zip(texts, lists, strict=True)):
        if len(ids) < 3 or not text.strip():  # start and end alone
            raise LocalizerError(f"prompt {index + 1} of {len(texts)} is empty: {text!r}")
        if len(ids) > context:
            cut.append(text)
            lists[index] = [*ids[: context - 1], tokenize.end]
    longest = max(map(len, lists))
    padded = [[*ids, *[tokenize.padding] * (longest - len(ids))] for ids in lists]
    ends = torch.tensor([len(ids) - 1 for ids in lists], device=device)
    mask = torch.arange(longest, device=device) <= ends[:, None]
    return Sentences(torch.tensor(padded, device=device), ends, mask, tuple(cut))
