"""A method ready to be trained, and the header of its weights, from towers, data and what the command line says."""

import dataclasses
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vlm_inspect.errors import InspectWarning, TrainingError
from vlm_inspect.localization.checkpoint import Header, encoder_facts, marks_of
from vlm_inspect.localization.settings import LocalizerSettings
from vlm_inspect.training.data import TrainingData
from vlm_inspect.training.method import Schedule, TrainableMethod
from vlm_inspect.training.pictures import Supervision

if TYPE_CHECKING:
    from vlm_inspect.localization.dual_encoder.encoder import DualEncoder, Rgb

LONGEST_WORD = 100
DONORS = 16
"""Most normal pictures that lend their texture to pasted defects."""


@dataclass(frozen=True)
class TrainingOptions:
    """What may be chosen; None and (): as the method has it."""

    seed: int = 0
    side: int | None = None
    words: tuple[str, ...] = ()
    """Defect words: DAPO's vocabulary, or what PromptAD's sentences name."""
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    micro_batch: int | None = None
    save_memory: bool = False
    """DAPO only: compute the vision tower's blocks again instead of keeping what lies between them."""
    supervision: str = "synthetic"
    """PromptAD only."""
    settings: LocalizerSettings = field(default_factory=LocalizerSettings)
    """What the method is made of; the choices above come before its side, words, seed and supervision."""


def build_dapo(encoder: "DualEncoder", data: TrainingData, given: TrainingOptions) -> TrainableMethod:
    """Return DAPO with fresh tensors; its vocabulary is the data's where none is given.

    Raises:
        LocalizerError: a wrong vocabulary or side.
        TrainingError: the data has a word that the vocabulary has not.
    """
    from vlm_inspect.training.methods.dapo import DapoMethod

    choices = given.settings.dapo
    words = given.words or choices.words or data.words
    if missing := [word for word in data.words if word not in words]:
        raise TrainingError(f"the data has {', '.join(map(repr, missing))}, which --word and --words leave out; add it")
    method = DapoMethod.over(
        encoder,
        words,
        choices.numbers,
        side=given.side or choices.side,
        seed=given.seed,
        checkpoint_blocks=given.save_memory,
        micro_batch=given.micro_batch,
    )
    for sentence in method.model.text_encoder.cut_words(method.words):
        warnings.warn(f"prompt cut to {encoder.text.context} tokens: {sentence}", InspectWarning, stacklevel=2)
    return method


def build_promptad(encoder: "DualEncoder", data: TrainingData, given: TrainingOptions) -> TrainableMethod:
    """Return PromptAD with fresh tensors, for the classes of the data.

    Raises:
        LocalizerError: wrong defect words, or the towers do not fit the side.
    """
    from vlm_inspect.localization.dapo.vocabulary import check_words
    from vlm_inspect.localization.promptad.settings import read_settings
    from vlm_inspect.localization.subject import Subject
    from vlm_inspect.training.methods.promptad import build_promptad as build

    chosen: dict[str, object] = {
        **given.settings.promptad.model_dump(),
        "seed": given.seed,
        "supervision": given.supervision,
    }
    if given.side is not None:
        chosen["side"] = given.side
    words = check_words(given.words) if given.words else ()
    subjects = [Subject(name, words) for name in data.class_names]
    settings = read_settings(chosen)
    donors = _donors(data, settings.side) if settings.supervision == "synthetic" else ()
    return build(encoder, subjects, settings, donors=donors)


def _donors(data: TrainingData, side: int) -> "list[Rgb]":
    """Return normal pictures, evenly chosen, that pasted textures may come from."""
    from vlm_inspect.localization.dual_encoder.pixels import resize_square

    normal = [entry for entry in data.entries if entry.item.mask is None]
    chosen = normal[:: max(1, len(normal) // DONORS)][:DONORS]
    return [resize_square(entry.load().picture, side) for entry in chosen]


@dataclass(frozen=True)
class Kind:
    """A method that can be trained."""

    name: str
    build: "Callable[[DualEncoder, TrainingData, TrainingOptions], TrainableMethod]"
    splits_batches: bool
    """Whether the method works in parts of `micro_batch` itself, and the loop must not."""


DAPO = Kind("dapo", build_dapo, splits_batches=True)
PROMPTAD = Kind("promptad", build_promptad, splits_batches=False)


def supervision_of(kind: Kind, given: TrainingOptions) -> Supervision:
    """Return which pictures a method reads."""
    return "masks" if kind is DAPO or given.supervision == "test_split" else "synthetic"


def schedule_of(method: TrainableMethod, given: TrainingOptions) -> Schedule:
    """Return the method's schedule with what was chosen otherwise."""
    chosen = {"epochs": given.epochs, "batch_size": given.batch_size, "learning_rate": given.learning_rate}
    return dataclasses.replace(method.schedule, **{key: value for key, value in chosen.items() if value is not None})  # type: ignore[arg-type]


def header_of(
    method: TrainableMethod, encoder: "DualEncoder", data: TrainingData, schedule: Schedule, seed: int
) -> Header:
    """Return the header of the weights that will be trained."""
    return Header(
        method=method.name,
        settings=dict(method.settings()),
        encoder=encoder_facts(encoder),
        words=method.words,
        folder_words=dict(data.folder_words),
        class_names=data.class_names,
        data=data.facts,
        trained_on=marks_of(data.picture_digests),
        schedule=dataclasses.asdict(schedule),
        seed=seed,
    )


def read_words(path: Path) -> tuple[str, ...]:
    """Return the words of a text file: one a line; empty lines, and lines that start with #, do not count.

    Raises:
        TrainingError: the file cannot be read, holds no word, or a line is too long to be one.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path} cannot be read ({error}); give a text file with one defect word a line") from error
    words = [" ".join(line.split()) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not words or max(map(len, words)) > LONGEST_WORD:
        what = "holds no word" if not words else f"has a line of over {LONGEST_WORD} characters"
        raise TrainingError(f"{path} {what}; give a text file with one defect word a line")
    return tuple(words)
