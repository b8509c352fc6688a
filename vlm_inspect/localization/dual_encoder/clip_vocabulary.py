"""CLIP's tokenizer from the files of a folder, or from an installed open_clip for folders that come without one."""

import gzip
import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder.weights_file import one_line

START, END = "<|startoftext|>", "<|endoftext|>"
FILES = ("vocab.json", "merges.txt", "tokenizer.json")
"""What a folder may hold: the first two, or the third."""
_BUNDLED = "bpe_simple_vocab_16e6.txt.gz"
_MERGES = 49152 - 256 - 2
"""How many lines of open_clip's file CLIP uses, after the first."""

Vocabulary = dict[str, int]
Merges = list[tuple[str, str]]


def load_tokenizer(folder: Path, name: str) -> Any:
    """Return the tokenizer of a folder; where it has none, CLIP's own out of an installed open_clip.

    Raises:
        LocalizerError: there is neither, or it cannot be used.
    """
    try:
        lists = read_vocabulary(folder)
        if lists is None:
            bundled = bundled_file()
            lists = None if bundled is None else read_bundled(bundled)
        if lists is not None:
            return build_tokenizer(*lists)
    except (json.JSONDecodeError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LocalizerError(f"{name}: the tokenizer in {folder} cannot be used: {one_line(error)}") from error
    raise LocalizerError(
        f"{name}: the tokenizer is missing: put vocab.json and merges.txt of openai/clip-vit-base-patch16 into "
        f"{folder}, or pip install 'vlm-inspect[open-clip]', which brings them"
    )


def read_vocabulary(folder: Path) -> tuple[Vocabulary, Merges] | None:
    """Return the tokens and the merges of a folder's files, or None where they are missing."""
    vocabulary, merges, both = (folder / file for file in FILES)
    if vocabulary.is_file() and merges.is_file():
        lines = merges.read_text(encoding="utf-8").split("\n")
        return json.loads(vocabulary.read_text(encoding="utf-8")), _pairs(lines)
    if both.is_file():
        model = json.loads(both.read_text(encoding="utf-8"))["model"]
        return dict(model["vocab"]), _pairs(model["merges"])
    return None


def bundled_file() -> Path | None:
    """Return the vocabulary file that open_clip ships, or None.

    open_clip itself is not imported: it needs torchvision, which may be missing.
    """
    spec = find_spec("open_clip")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / _BUNDLED
    return path if path.is_file() else None


def read_bundled(path: Path) -> tuple[Vocabulary, Merges]:
    """Return the tokens and merges of a gzipped file of merges, one a line after a header, most frequent first."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    with gzip.open(path, "rt", encoding="utf-8") as stream:
        merges = _pairs(stream.read().split("\n")[1 : 1 + _MERGES])
    letters = list(bytes_to_unicode().values())
    tokens = [*letters, *(one + "</w>" for one in letters), *(first + second for first, second in merges), START, END]
    return {token: index for index, token in enumerate(tokens)}, merges


def build_tokenizer(vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> Any:
    """Return the `CLIPTokenizer` of these tokens and merges.

    Raises:
        ValueError: they contradict each other.
    """
    from transformers import CLIPTokenizer

    known = vocabulary.keys()
    odd = next((pair for pair in merges if not {*pair, "".join(pair)} <= known), None)
    if odd is not None:
        raise ValueError(f"the merge {' '.join(odd)!r} is of tokens that the vocabulary does not hold")
    if not {START, END} <= known or not all(isinstance(index, int) for index in vocabulary.values()):
        raise ValueError(f"the vocabulary lacks {START} or {END}, or its values are not numbers")
    return CLIPTokenizer(vocab=dict(vocabulary), merges=list(merges))


def _pairs(lines: Sequence[str | Sequence[str]]) -> Merges:
    """Return merges of either notation, "a b" or ["a", "b"], without headers and empty lines."""
    pairs = [line.split() if isinstance(line, str) else list(line) for line in lines if line]
    return [(pair[0], pair[1]) for pair in pairs if len(pair) == 2 and pair[0] != "#version:"]
