"""Files of trained weights: the learnable tensors of one method in safetensors, with what they rest on as their header.

The header is JSON under one key of the file's metadata. Nothing here can run code, and whatever does not fit raises a
`LocalizerError` in one line: a file of weights that is taken for another gives wrong scores without a word.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vlm_inspect.errors import LocalizerError
from vlm_inspect.file_writing import write_atomically
from vlm_inspect.version import VERSION

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vlm_inspect.localization.dual_encoder.encoder import DualEncoder

FORMAT = 1
METADATA_KEY = "vlm-inspect"
_MARK_BYTES = 8
"""Bytes kept of a picture's sha256: two of a million pictures agree by chance with a probability below 1e-7."""


class EncoderFacts(BaseModel):
    """Which towers the tensors were trained over."""

    model_config = ConfigDict(frozen=True)

    name: str
    identity: str
    vision_width: int
    vision_blocks: int
    text_width: int
    text_blocks: int
    joint: int


class DataFacts(BaseModel):
    """One data folder that was trained on."""

    model_config = ConfigDict(frozen=True)

    name: str
    sha256: str
    """Digest of the digests of its files, masks included."""
    normal: int
    anomalous: int


class Header(BaseModel):
    """What a file of trained weights says of itself."""

    model_config = ConfigDict(frozen=True)

    format: Literal[1] = 1
    method: str
    settings: dict[str, Any]
    """`TrainableMethod.settings()`."""
    encoder: EncoderFacts | None = None
    words: tuple[str, ...] = ()
    """The vocabulary that it was trained with."""
    folder_words: dict[str, str] = Field(default_factory=dict)
    """The word of each defect folder of its data, by CLASS/FOLDER."""
    class_names: tuple[str, ...] = ()
    data: tuple[DataFacts, ...] = ()
    trained_on: str = ""
    """Base64 of the sorted marks of the pictures, see `marks_of`; empty: no picture that could be met again."""
    schedule: dict[str, Any] = Field(default_factory=dict)
    seed: int = 0
    steps: int = 0
    version: str = VERSION
    """Version of vlm-inspect that trained it."""


def encoder_facts(encoder: "DualEncoder") -> EncoderFacts:
    """Return what a header says of a pair of towers."""
    return EncoderFacts(
        name=encoder.name,
        identity=encoder.identity,
        vision_width=encoder.vision.width,
        vision_blocks=encoder.vision.blocks,
        text_width=encoder.text.width,
        text_blocks=encoder.text.blocks,
        joint=encoder.vision.joint,
    )


def save_weights(path: Path, tensors: "Mapping[str, Tensor]", header: Header) -> None:
    """Write tensors and header, at once or not at all.

    Raises:
        OutputError: the file cannot be written; what was there before is untouched.
    """
    write_atomically(path, pack(tensors, header.model_dump_json()))


def pack(tensors: "Mapping[str, Tensor]", text: str) -> bytes:
    """Return the bytes of a safetensors file with one text in its metadata; equal content gives equal bytes."""
    from safetensors.torch import save

    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    return save(own, {METADATA_KEY: text})


def unpack(path: Path) -> "tuple[dict[str, Tensor], str | None]":
    """Return the tensors of a safetensors file and the text in its metadata; None: it has none.

    Raises:
        LocalizerError: the file is missing, or no whole safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(_existing(path), framework="pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
            return {name: file.get_tensor(name) for name in sorted(file.keys())}, text
    except (SafetensorError, OSError, ValueError) as error:
        raise LocalizerError(_no_safetensors(path, error)) from error


def read_header(path: Path) -> Header:
    """Return the header of a file of trained weights; the tensors are not read.

    Raises:
        LocalizerError: the file is missing, no safetensors file, or has no header that fits.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(_existing(path), framework="np") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
    except (SafetensorError, OSError, ValueError) as error:
        raise LocalizerError(_no_safetensors(path, error)) from error
    return _parse(text, path)


def load_weights(path: Path, *, method: str) -> "tuple[Header, dict[str, Tensor]]":
    """Return header and tensors of a file that was trained for `method`, the tensors on the CPU.

    Raises:
        LocalizerError: the file is missing, no safetensors file, of another method, or holds NaN or infinity.
    """
    tensors, text = unpack(path)
    header = _parse(text, path)
    if header.method != method:
        raise LocalizerError(f"{path} holds weights of {header.method}, not of {method}; give a file of {method}")
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise LocalizerError(f"{path}: {name} holds NaN or infinity; train it again")
    return header, tensors


def check_encoder(header: Header, encoder: "DualEncoder", path: Path) -> None:
    """Make sure that weights are used over the towers that they were trained over.

    Raises:
        LocalizerError: they were trained over others; the message names both.
    """
    was, now = header.encoder, encoder_facts(encoder)
    if was is None or same_weights(was.identity, now.identity):
        return
    sizes = [f"{key} {getattr(was, key)} and not {getattr(now, key)}" for key in _SIZES if _differ(was, now, key)]
    why = ", ".join(sizes) if sizes else f"weights {was.identity} and not {now.identity}"
    raise LocalizerError(f"{path} was trained over {was.name} ({why}), not over {now.name}; load it over {was.name}")


def same_weights(identity: str, other: str) -> bool:
    """Return whether two identities of towers mean the same weights, at whatever precision."""
    return identity.removesuffix("/half") == other.removesuffix("/half")


def apply_weights(module: "nn.Module", tensors: "Mapping[str, Tensor]", path: Path) -> None:
    """Copy the tensors of a file into the module that they were trained in; all must fit, and none may be missing.

    Raises:
        LocalizerError: a tensor is missing, unknown, or of another size; the module is untouched.
    """
    own = module.state_dict()
    if missing := sorted(own.keys() - tensors.keys()):
        raise LocalizerError(f"{path} has no tensor {missing[0]}; it was trained with other settings")
    if unknown := sorted(tensors.keys() - own.keys()):
        raise LocalizerError(f"{path} holds {unknown[0]}, which has no place here; it was trained with other settings")
    for name, tensor in own.items():
        here, there = tuple(tensor.shape), tuple(tensors[name].shape)
        if here != there:
            raise LocalizerError(f"{path}: {name} is {there}, here it must be {here}; it was trained over other towers")
    module.load_state_dict(dict(tensors))


def marks_of(digests: Iterable[str]) -> str:
    """Return picture digests (sha256, hex) in the compact form of `Header.trained_on`."""
    marks = sorted({bytes.fromhex(digest)[:_MARK_BYTES] for digest in digests})
    return base64.b64encode(b"".join(marks)).decode()


def trained_on(header: Header) -> frozenset[str]:
    """Return the marks of the pictures that it was trained on: the first 16 hex digits of each file's sha256."""
    packed = base64.b64decode(header.trained_on)
    return frozenset(packed[i : i + _MARK_BYTES].hex() for i in range(0, len(packed), _MARK_BYTES))


def refuse_overlap(header: Header, digests: Iterable[str], *, force: bool = False) -> int:
    """Return how many of these pictures the weights were trained on; any is an error unless forced.

    Args:
        header: of the weights that shall be evaluated.
        digests: sha256 (hex) of the files to evaluate on, `converters.digest.sha256_of`.
        force: count only.

    Raises:
        LocalizerError: some of them were trained on, and it is not forced.
    """
    seen = trained_on(header)
    met = [digest[: 2 * _MARK_BYTES] in seen for digest in digests]
    if any(met) and not force:
        raise LocalizerError(
            f"{sum(met)} of {len(met)} pictures were used to train these {header.method} weights: scores on them say "
            "nothing; evaluate on other data, or force it"
        )
    return sum(met)


_SIZES = ("vision_width", "vision_blocks", "text_width", "text_blocks", "joint")


def _differ(was: EncoderFacts, now: EncoderFacts, key: str) -> bool:
    return bool(getattr(was, key) != getattr(now, key))


def _existing(path: Path) -> Path:
    if not path.is_file():
        reason = "is a folder" if path.is_dir() else "no such file"
        raise LocalizerError(f"{path}: {reason}; name a .safetensors file that `vlm-inspect train` wrote")
    return path


def _no_safetensors(path: Path, error: Exception) -> str:
    reason = " ".join(str(error).split())
    return f"{path} is not a whole safetensors file ({reason}); give one that `vlm-inspect train` wrote"


def _parse(text: str | None, path: Path) -> Header:
    if text is None:
        raise LocalizerError(f"{path} has no header of vlm-inspect; give a file that `vlm-inspect train` wrote")
    try:
        fields = json.loads(text)
        if isinstance(fields, dict) and fields.get("format") != FORMAT:
            raise LocalizerError(f"{path} has format {fields.get('format')!r}; this version reads {FORMAT}")
        header = Header.model_validate(fields)
        trained_on(header)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "header"
        raise LocalizerError(f"{path}: its header is wrong at {where}: {first['msg']}") from error
    except ValueError as error:
        raise LocalizerError(f"{path}: its header is damaged ({error}); train it again") from error
    return header
