"""Going on with a run that was stopped: its state after a step, in one file beside the weights, replaced at once.

`<out>.resume.safetensors` holds the learnable tensors, the optimiser's tensors and, as JSON, the step and the log. A
kill at any moment leaves the state before or the state after, never a part of one.
"""

import glob
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from vlm_inspect.errors import LocalizerError, TrainingError
from vlm_inspect.file_writing import check_writable, write_atomically
from vlm_inspect.localization.checkpoint import Header, pack, read_header, unpack
from vlm_inspect.training.record import Log

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

Start = Literal["new", "resume", "restart"]
SUFFIX = ".safetensors"
_WEIGHTS, _OPTIMISER = "weights/", "optimiser/"
_FREE = {"version", "steps", "trained_on"}
"""Parts of a header that say nothing of which run it is."""


class Progress(BaseModel):
    """Where a run stands."""

    model_config = ConfigDict(extra="forbid")

    identity: dict[str, Any]
    step: int
    """Steps done."""
    scaler: dict[str, int | float]
    log: Log


@dataclass(frozen=True, eq=False)
class Saved:
    """A state that was read back."""

    progress: Progress
    weights: "dict[str, Tensor]"
    optimiser: "dict[int, dict[str, Tensor]]"


def resume_path(out: Path) -> Path:
    """Return where the state of a run lies."""
    return out.with_name(out.name.removesuffix(SUFFIX) + ".resume" + SUFFIX)


def identity_of(header: Header) -> dict[str, Any]:
    """Return what makes two runs the same run: all that the weights depend on but the learning rate.

    The learning rate is left out so that a run that diverged can go on from its last good state at a lower one; the
    record tells.
    """
    fields: dict[str, Any] = json.loads(header.model_dump_json(exclude=_FREE))
    fields["schedule"].pop("learning_rate", None)
    return fields


def check_out(out: Path, start: Start) -> None:
    """Find out before any data is read whether a run can write there.

    Raises:
        OutputError: the weights cannot be written there.
        TrainingError: the name has another ending; or a run is there, and neither resume nor restart was asked for.
    """
    if out.suffix != SUFFIX or out.name.endswith(f".resume{SUFFIX}"):
        raise TrainingError(f"{out}: weights are written as safetensors; name a file such as {out.stem}{SUFFIX}")
    check_writable(out)
    if start == "new":
        for path in (out, resume_path(out)):
            if path.exists():
                raise TrainingError(f"{path} is there already: --resume goes on with its run, --restart begins anew")


def begin(out: Path, start: Start, header: Header) -> Saved | Literal["finished"] | None:
    """Return the state to go on from; None: begin anew; "finished": this run is done and its weights are there.

    What was there before a restart stays until new weights replace it; its state goes at once.

    Raises:
        TrainingError: resume was asked for, and what lies there is of another run.
        LocalizerError: what lies there is damaged.
    """
    state = resume_path(out)
    for path in (out, state):
        _sweep(path)
    if start == "restart":
        state.unlink(missing_ok=True)
    if start != "resume":
        return None
    if state.exists():
        saved = load_state(state)
        _check_same(saved.progress.identity, header, state)
        return saved
    if out.exists():
        _check_same(identity_of(read_header(out)), header, out)
        return "finished"
    return None


def save_state(out: Path, progress: Progress, weights: "dict[str, Tensor]", optimiser: "Optimizer") -> None:
    """Write the state of a run, at once or not at all.

    Raises:
        OutputError: it cannot be written; the state before is untouched.
    """
    tensors = {f"{_WEIGHTS}{name}": tensor for name, tensor in weights.items()}
    for number, own in optimiser.state_dict()["state"].items():
        tensors.update({f"{_OPTIMISER}{number}/{name}": tensor for name, tensor in own.items()})
    write_atomically(resume_path(out), pack(tensors, progress.model_dump_json()))


def load_state(path: Path) -> Saved:
    """Return a state that `save_state` wrote.

    Raises:
        LocalizerError: the file is damaged, or no state of a run.
    """
    tensors, text = unpack(path)
    try:
        progress = Progress.model_validate_json(text or "")
    except ValidationError as error:
        raise LocalizerError(f"{path} is not the state of a training run; start over with --restart") from error
    saved = Saved(progress, {}, {})
    for name, tensor in tensors.items():
        if name.startswith(_WEIGHTS):
            saved.weights[name.removeprefix(_WEIGHTS)] = tensor
        else:
            number, key = name.removeprefix(_OPTIMISER).split("/", 1)
            saved.optimiser.setdefault(int(number), {})[key] = tensor
    return saved


def _sweep(path: Path) -> None:
    """Remove what a kill in the middle of a write left: `write_atomically` names it after 40 characters of the file."""
    if len(path.name) <= 40:  # else it could be of another file that begins alike
        for left in path.parent.glob(f".{glob.escape(path.name)}-????????"):
            left.unlink(missing_ok=True)


def _check_same(was: dict[str, Any], header: Header, path: Path) -> None:
    now = identity_of(header)
    if (difference := _difference(was, now)) is not None:
        key, before, after = difference
        raise TrainingError(
            f"{path} is of another run: {key} was {_brief(before)}, now {_brief(after)}; name another --out, or begin "
            "anew with --restart"
        )


def _difference(was: dict[str, Any], now: dict[str, Any]) -> tuple[str, Any, Any] | None:
    """Return the first key whose values differ, dotted where it lies deeper, with both values."""
    for key in sorted(was.keys() | now.keys()):
        before, after = was.get(key), now.get(key)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict) and (inner := _difference(before, after)) is not None:
            return f"{key}.{inner[0]}", inner[1], inner[2]
        return key, before, after
    return None


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
