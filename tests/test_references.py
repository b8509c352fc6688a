"""What is said where the part and its references are of different kinds, and how far reading them is."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from converters.view import ViewBudget
from vlm_inspect.answers.translation import translation_to
from vlm_inspect.errors import ReferenceSampleError
from vlm_inspect.inspector import Inspector
from vlm_inspect.references import kind_of_references, load_references


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """One good photo, curve and damaged photo each."""
    photo, curve, damaged = (tmp_path / name for name in ("a photo.png", "a curve.csv", "damaged.png"))
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 48, 3), np.uint8)).save(photo)
    curve.write_text("time_s,current_A\n" + "".join(f"{t / 10},{np.sin(t / 5):.3f}\n" for t in range(80)))
    damaged.write_bytes(photo.read_bytes()[:60])
    return {"photo": photo, "curve": curve, "damaged": damaged}


@pytest.mark.parametrize(
    ("references", "said"),
    [
        (
            ["curve", "curve"],
            "this part is a photo, and the references of its class are curves (a curve.csv); inspect a curve, or name "
            "the rules and references of such parts",
        ),
        (
            ["curve", "photo"],
            "the references are of different kinds: a photo.png is a photo, a curve.csv a curve; leave the others out, "
            "or give them a rule book of their own",
        ),
        (["photo", "damaged"], "damaged.png cannot be read as a photo: "),
    ],
)
def test_the_message_names_what_is_likely_to_be_wrong(files: dict[str, Path], references: list[str], said: str) -> None:
    with pytest.raises(ReferenceSampleError) as raised:
        load_references([files[name] for name in references], "image", ViewBudget())
    assert said in str(raised.value)
    assert ("different kinds" in said or "this part" in said) == (str(files["photo"].parent) not in str(raised.value))


def test_photos_are_no_references_of_a_clip_though_each_can_be_read_as_one_frame(files: dict[str, Path]) -> None:
    with pytest.raises(ReferenceSampleError, match="this part is a clip, and the references of its class are photos"):
        load_references([files["photo"]], "video", ViewBudget())


def test_progress_counts_files_and_what_they_hold(files: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy.png"
    copy.write_bytes(files["photo"].read_bytes())
    told: list[str] = []
    assert len(load_references([files["photo"], copy], "image", ViewBudget(), told.append)) == 1
    assert told == ["reading reference 1 of 2", "reading reference 2 of 2", "drawing reference 1 of 1"]


def test_a_folder_of_references_is_what_its_files_are(files: dict[str, Path], tmp_path: Path) -> None:
    photos, frames, empty = (tmp_path / name for name in ("normal parts", "clip", "empty"))
    for folder, name in ((photos, "bracket_{}.png"), (frames, "frame_{:04}.png")):
        folder.mkdir()
        for number in range(3):  # noise around one picture: like each other, as the frames of a clip are
            (folder / name.format(number)).write_bytes(files["photo"].read_bytes())
    empty.mkdir()
    assert kind_of_references([photos]) == "image"
    assert kind_of_references([frames]) == "video"
    assert kind_of_references([files["curve"], photos]) == "series"
    with pytest.raises(ReferenceSampleError, match="empty is a folder without files; name a folder of normal samples"):
        kind_of_references([empty])


def test_a_photo_that_stands_where_its_references_lie_is_told(files: dict[str, Path], tmp_path: Path) -> None:
    photo, turned, square, other = files["photo"], *(tmp_path / name for name in ("turned.jpg", "square.png", "b.png"))
    with Image.open(photo) as picture:
        as_held = picture.getexif()
        as_held[0x0112] = 6  # how the camera was held: upright, seen by eyes
        picture.save(turned, exif=as_held)
        picture.crop((0, 0, 32, 32)).save(square)
        picture.crop((4, 0, 48, 32)).save(other)
    translate = translation_to("de")
    assert translate is not None
    for references, part, said in (
        ([photo], turned, "The photo stands upright and its references lie on their longer side: turn it, or take it"),
        ([turned], photo, "The photo lies on its longer side and its references stand upright: turn it, or take it"),
        ([photo, turned], other, ""),
        ([photo], square, ""),
    ):
        notes = Inspector(references=references, localizer=None).inspect(part).notes
        told = [note for note in notes if "turn it" in note]
        assert [note[: len(said)] for note in told] == ([said] if said else [])
        assert all(translate(note) != note for note in told)
