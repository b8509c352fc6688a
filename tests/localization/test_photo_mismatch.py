"""A photo taken otherwise than its references is said to be so before it is compared; a defect is none."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from converters.registry import read, render
from converters.view import View, ViewBudget
from tests.test_fits import NOTHING_PLANTED, Counting
from vlm_inspect import cli
from vlm_inspect.calibration.run import calibrate
from vlm_inspect.errors import CalibrationError
from vlm_inspect.inspector import Inspector
from vlm_inspect.localization.photo_mismatch import usual_photo

SIDE = 160
Change = Callable[[Image.Image], Image.Image]


def washer(seed: int) -> Image.Image:
    """A brass disc with a brushed face on a white table; it lies a little differently every time."""
    generator = np.random.default_rng(seed)
    picture = Image.new("RGB", (SIDE, SIDE), (236, 238, 240))
    x, y = 80 + generator.integers(-4, 5, 2)
    ImageDraw.Draw(picture).ellipse((x - 52, y - 52, x + 52, y + 52), fill=(176, 138, 60))
    ImageDraw.Draw(picture).ellipse((x - 20, y - 20, x + 20, y + 20), fill=(96, 70, 30))
    return _grainy(picture, generator)


def cloth(seed: int) -> Image.Image:
    """Grey weave that fills the photo."""
    generator = np.random.default_rng(seed)
    stripes = 120 + 40 * np.sin(np.arange(SIDE) / 2.5)[None, :] * np.sin(np.arange(SIDE) / 3)[:, None]
    return _grainy(Image.fromarray(stripes.astype(np.uint8)).convert("RGB"), generator, grey=True)


def _grainy(picture: Image.Image, generator: np.random.Generator, *, grey: bool = False) -> Image.Image:
    noise = generator.normal(0, 5, (SIDE, SIDE, 1 if grey else 3))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


def resized(side: float) -> Change:
    return lambda picture: picture.resize((round(side * picture.width), round(side * picture.height)))


def times(*factors: float) -> Change:
    return lambda picture: Image.fromarray(np.clip(np.asarray(picture) * factors, 0, 255).astype(np.uint8))


def farther(picture: Image.Image) -> Image.Image:
    table = Image.new("RGB", picture.size, picture.getpixel((1, 1)))
    table.paste(picture.resize((SIDE // 2, SIDE // 2)), (SIDE // 4, SIDE // 4))
    return table


def shifted(picture: Image.Image) -> Image.Image:
    table = Image.new("RGB", picture.size, picture.getpixel((1, 1)))
    table.paste(picture, (0, 40))
    return table


def on_gravel(picture: Image.Image) -> Image.Image:
    pixels = np.random.default_rng(5).integers(40, 255, (SIDE, SIDE, 3)).astype(np.uint8)
    pixels[28:132, 28:132] = np.asarray(picture)[28:132, 28:132]
    return Image.fromarray(pixels)


def zoomed(by: float) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        margin = SIDE * (1 - 1 / by) / 2
        return picture.resize(picture.size, box=(margin, margin, SIDE - margin, SIDE - margin))

    return change


def eight_colours(picture: Image.Image) -> Image.Image:
    return picture.quantize(8).convert("RGB")


def swollen(picture: Image.Image) -> Image.Image:
    """As by something that sticks to two sides of the disc: both sides of what is seen are larger, its area hardly."""
    marked = picture.copy()
    ImageDraw.Draw(marked).rectangle((120, 76, 152, 84), fill=(40, 40, 40))
    ImageDraw.Draw(marked).rectangle((76, 120, 84, 152), fill=(40, 40, 40))
    return marked


def half_away(picture: Image.Image) -> Image.Image:
    """As of a broken disc: half of it is missing."""
    broken = picture.copy()
    ImageDraw.Draw(broken).rectangle((0, 0, SIDE, SIDE // 2), fill=(236, 238, 240))
    return broken


def dirty(picture: Image.Image) -> Image.Image:
    soiled = picture.copy()
    ImageDraw.Draw(soiled).ellipse((60, 70, 120, 159), fill=(20, 90, 30))
    return soiled


def spotted(picture: Image.Image) -> Image.Image:
    """As by a flat, strong spot: coarse detail that takes nothing from the rest."""
    marked = picture.copy()
    ImageDraw.Draw(marked).rectangle((20, 20, 70, 90), fill=(255, 255, 255))
    return marked


def views_of(picture: Image.Image, folder: Path) -> list[View]:
    path = folder / "photo.png"
    picture.save(path)
    return render(read(path), ViewBudget())


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("usual")
    kinds = {"washer": washer, "cloth": cloth}
    return {name: usual_photo([views_of(make(seed), folder) for seed in range(4)]) for name, make in kinds.items()}


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("washer", lambda picture: picture.resize((1, 1)), "The photo has 1 x 1 px, too few"),
        ("cloth", lambda picture: picture.resize((24, 160)), "The photo has 24 x 160 px, too few"),
        ("cloth", times(0, 0, 0), "shows nothing but one even colour"),
        ("washer", resized(0.5), "another resolution than its references, 80 x 80 px where they have 160 x 160 px"),
        ("cloth", resized(2), "another resolution than its references, 320 x 320 px"),
        ("washer", lambda picture: picture.resize((240, 96)), "another format than its references, 240 x 96 px"),
        ("washer", lambda picture: picture.resize((160, 110)), "another format than its references, 160 x 110 px"),
        ("cloth", lambda picture: picture.crop((0, 0, 160, 100)), "another format than its references, 160 x 100 px"),
        ("washer", shifted, "cut off by the edge"),
        ("washer", farther, "times as large as in the references"),
        ("washer", lambda picture: Image.new("RGB", (SIDE, SIDE), (236, 238, 240)), "one even colour"),
        ("washer", on_gravel, "The background is not plain"),
        ("washer", lambda picture: picture.convert("L").convert("RGB"), "is in grey and its references are in colour"),
        ("cloth", times(1, 0.6, 0.3), "is in colour and its references are in grey"),
        ("washer", times(1, 0.85, 0.5), "The background has another colour"),
        ("washer", times(0.3, 0.3, 0.3), "times darker than any of its references"),
        ("washer", lambda picture: picture.filter(ImageFilter.GaussianBlur(3)), "far less sharp"),
        ("cloth", lambda picture: picture.filter(ImageFilter.GaussianBlur(2)), "far less sharp"),
        ("washer", zoomed(1.3), "The part is shown 1.3 times as large as in the references"),
        ("washer", zoomed(2), "The part fills the photo: it is shown larger than in the references"),
        ("washer", eight_colours, "far fewer colours than any of its references, 8"),
        ("cloth", eight_colours, "far fewer colours than any of its references, 8"),
        ("washer", times(0.65, 0.65, 0.65), "The photo is about 3 times darker than any of its references: check"),
        ("cloth", times(0.2, 0.2, 0.2), "The photo is more than 10 times darker than any of its references: check"),
        ("washer", swollen, ""),
        ("washer", lambda picture: picture, ""),
        ("cloth", lambda picture: picture, ""),
        ("washer", half_away, ""),
        ("washer", dirty, ""),
        ("cloth", dirty, ""),
        ("cloth", spotted, ""),
        ("washer", times(0.8, 0.8, 0.8), ""),
        ("cloth", lambda picture: picture.transpose(Image.Transpose.ROTATE_180), ""),
        ("washer", lambda picture: picture.crop((8, 8, 152, 152)), ""),
    ],
)  # fmt: skip
def test_what_is_taken_otherwise_is_said(usual: dict, name: str, change: Change, said: str, tmp_path: Path) -> None:
    photo = change({"washer": washer, "cloth": cloth}[name](7))
    found = usual[name].mismatch(views_of(photo, tmp_path))
    assert said in found if said else found == ""


def test_in_grey_nobody_is_told_that_the_part_is_missing(usual: dict, tmp_path: Path) -> None:
    pale = Image.new("L", (SIDE, SIDE), 200)  # brass and table alike in grey
    pale.paste(214, (40, 40, 120, 120))
    told = usual["washer"].mismatch(views_of(pale.convert("RGB"), tmp_path))
    assert told.startswith("The photo is in grey")
    assert "No part" not in told


def test_references_of_several_sizes_allow_several_sizes(tmp_path: Path) -> None:
    sizes = [(160, 160), (120, 150), (150, 110), (100, 140)]
    usual = usual_photo([views_of(cloth(seed).crop((0, 0, *size)), tmp_path) for seed, size in enumerate(sizes)])
    assert usual.mismatch(views_of(cloth(7).crop((0, 0, 150, 130)), tmp_path)) == ""
    assert "another resolution" in usual.mismatch(views_of(cloth(7).resize((600, 600)), tmp_path))


def test_the_odd_reference_is_named(tmp_path: Path) -> None:
    photos = [washer(seed) for seed in range(5)]
    photos[2] = photos[2].convert("L").convert("RGB")
    told = usual_photo([views_of(one, tmp_path) for one in photos]).odd_ones()
    assert [bool(said) for said in told] == [False, False, True, False, False]
    assert "in grey" in told[2]


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{seed}.png" for seed in range(5)]
    for seed, path in enumerate(paths):
        washer(seed).save(path)
    return paths


def test_such_a_photo_is_looked_at_by_a_person_and_told_first(photos: list[Path], tmp_path: Path) -> None:
    inspector = Inspector(references=photos[:4], localizer=Counting(), qualification=NOTHING_PLANTED)
    small = tmp_path / "small.png"
    washer(9).resize((80, 80)).save(small)
    found = inspector.inspect(small)
    assert found.outcome == "REVIEW"
    assert found.score == 0.5
    assert found.review_reasons[0].startswith("The photo has another resolution than its references")
    assert found.answer.startswith("The photo has another resolution")
    assert "nothing tells whether it is normal" in found.answer
    assert inspector.examine(photos[4]).evidence.mismatch == ""


def test_no_bound_is_set_by_it(photos: list[Path], tmp_path: Path) -> None:
    inspector = Inspector(references=photos[:4], localizer=Counting(), qualification=NOTHING_PLANTED)
    grey = tmp_path / "grey.png"
    washer(9).convert("L").save(grey)
    with pytest.raises(CalibrationError, match=r"grey\.png cannot be compared .* leave it out: The photo is in grey"):
        calibrate(inspector, [grey, *photos], overkill=0.5)


def test_a_dot_is_no_part_even_without_references(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (1, 1), "red").save(tmp_path / "dot.png")
    with pytest.raises(SystemExit) as stop:
        cli.main(["ask", str(tmp_path / "dot.png"), "--localizer", "memory", "--quiet"])
    assert stop.value.code == 3
    assert "The photo has 1 x 1 px, too few to judge a part by" in capfd.readouterr().out.replace("\n", " ")


def test_a_photo_that_alone_is_transparent_is_not_compared(photos: list[Path], tmp_path: Path) -> None:
    clear = tmp_path / "clear.png"
    picture = washer(9).convert("RGBA")
    picture.putalpha(0)
    picture.save(clear)
    inspector = Inspector(references=photos[:4], localizer=Counting(), qualification=NOTHING_PLANTED)
    found = inspector.inspect(clear)
    assert found.outcome == "REVIEW"
    assert found.review_reasons[0].startswith("The photo is transparent everywhere and none of its references is")
    unfilled = [tmp_path / f"{seed}.bmp" for seed in range(5)]
    for seed, path in enumerate(unfilled):
        one = washer(seed).convert("RGBA")
        one.putalpha(0)
        one.save(path)
    camera = Inspector(references=unfilled[:4], localizer=Counting(), qualification=NOTHING_PLANTED)
    assert camera.examine(unfilled[4]).evidence.mismatch == ""
