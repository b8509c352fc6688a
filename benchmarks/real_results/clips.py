"""Surveillance clips without a training folder, laid out so that no clip gives both references and scored frames.

The published UCSD layout has normal clips in `Train`. Where there are test clips only, the normal frames of one of
them take that place, and the other clips are scored. Links, no copies: the data stay where they are.
"""

from pathlib import Path

from vlm_inspect.datasets.listing import files_in, folders_in
from vlm_inspect.datasets.masks import ImageMask
from vlm_inspect.errors import DatasetError

_TAIL = "_gt"


def lay_out(source: Path, target: Path) -> Path:
    """Make `target` the layout of a scene out of a folder of clips beside folders of masks, and return it.

    The normal frames of the first clip become the training clip; a frame without a mask is left out, since nothing
    says that it is normal. What was linked there before is linked anew.

    Raises:
        DatasetError: fewer than two clips, no normal frame in the first, or links cannot be made.
    """
    clips = [one for one in folders_in(source) if not one.name.endswith(_TAIL) and _masks_of(one).is_dir()]
    if len(clips) < 2:
        raise DatasetError(f"{source} has {len(clips)} clips beside folders of masks NAME{_TAIL}; two are needed")
    normal = _normal_frames(clips[0])
    if not normal:
        raise DatasetError(f"{clips[0]} has no frame whose mask is empty; references cannot be taken from it")
    train, test = target / "Train" / clips[0].name.replace("Test", "Train"), target / "Test"
    try:
        _link(train, normal)
        _link(test, [folder for clip in clips[1:] for folder in (clip, _masks_of(clip))])
    except OSError as error:
        raise DatasetError(f"{target} cannot be laid out: {error.strerror or error}; give another --out") from error
    return target


def _normal_frames(clip: Path) -> list[Path]:
    masks = {path.stem: path for path in files_in(_masks_of(clip))}
    return [path for path in files_in(clip) if path.stem in masks and not ImageMask(masks[path.stem]).read().any()]


def _masks_of(clip: Path) -> Path:
    return clip.with_name(clip.name + _TAIL)


def _link(folder: Path, targets: list[Path]) -> None:
    """Make a folder hold these links and no other ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.is_symlink():
            old.unlink()
    for one in targets:
        (folder / one.name).symlink_to(one.resolve())
