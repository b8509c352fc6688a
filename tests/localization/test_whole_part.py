"""What lies beside the part, or has another colour, is no OK; what normal parts do beside is nothing."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from converters.registry import read, render
from converters.view import View, ViewBudget
from tests.localization.test_photo_mismatch import cloth
from tests.test_fits import NOTHING_PLANTED, Counting
from vlm_inspect.inspector import Inspector
from vlm_inspect.localization.whole_part.colour import MeanColour, other_colour
from vlm_inspect.localization.whole_part.usual_part import UsualPart, odd_parts, usual_part

SIDE = 200
Pixels = NDArray[np.uint8]


def nut(
    seed: int, *, hue_deg: float = 0.0, strength: float = 1.0, size: float = 1.0, light: float = 1.0, shade: float = 1.0
) -> Pixels:
    """A brown ball on a dark table, lit from above; its place, size, light and colour differ a little every time."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    centre, radius = 100 + generator.uniform(-6, 6, 2), size * 55 * generator.uniform(0.95, 1.05)
    away = np.hypot(x - centre[0], y - centre[1]) / radius
    lit = light * (48 + generator.normal(0, 1.5) - shade * 16 * (y - centre[1]) / radius)
    table = 16 + 3 * np.hypot(x - 100, y - 100) / SIDE
    hue, chroma = np.deg2rad(42 + hue_deg + generator.normal(0, 1.5)), strength * generator.normal(30, 1.5)
    inside = np.clip((1 - away) * 20, 0, 1)
    lightness = inside * lit + (1 - inside) * table
    lab = np.stack([lightness, inside * chroma * np.cos(hue), inside * chroma * np.sin(hue)], axis=-1)
    lab += generator.normal(0, 0.6, lab.shape)
    return np.clip(cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB) * 255, 0, 255).astype(np.uint8)


def with_disc(picture: Pixels, centre: tuple[int, int], diameter: int, colour: tuple[int, int, int]) -> Pixels:
    return np.asarray(cv2.circle(picture.copy(), centre, diameter // 2, colour, -1, cv2.LINE_AA))


def views_of(picture: Pixels | Image.Image, folder: Path) -> list[View]:
    path = folder / "photo.png"
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(path)
    return render(read(path), ViewBudget())


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> UsualPart:
    folder = tmp_path_factory.mktemp("nuts")
    return usual_part([views_of(nut(seed), folder) for seed in range(4)])


@pytest.mark.parametrize(
    ("centre", "diameter", "colour"),
    [
        ((25, 25), 20, (255, 255, 255)),
        ((180, 100), 16, (128, 128, 128)),
        ((30, 170), 6, (230, 230, 230)),
        ((165, 165), 40, (60, 90, 60)),
        ((168, 168), 60, (250, 250, 250)),  # with it what stands on the background is no shape of a part
        ((100, 178), 12, (200, 40, 40)),
    ],
)
def test_what_lies_beside_the_part_is_found_where_it_lies(
    usual: UsualPart, centre: tuple[int, int], diameter: int, colour: tuple[int, int, int], tmp_path: Path
) -> None:
    found = usual.unusual(views_of(with_disc(nut(9), centre, diameter, colour), tmp_path))
    assert found.said == (
        "Something lies beside the part that lies beside no reference: take it away, or look what it is.",
    )
    x0, y0, x1, y1 = found.regions[0].box_xyxyn
    assert x0 * SIDE < centre[0] < x1 * SIDE
    assert y0 * SIDE < centre[1] < y1 * SIDE
    assert max(x1 - x0, y1 - y0) * SIDE < diameter + 20
    assert found.regions[0].score > 0.5


def test_what_a_bite_leaves_of_the_rim_lies_not_beside_the_part(tmp_path: Path) -> None:
    def ring(seed: int) -> Pixels:
        picture = np.random.default_rng(seed).normal(240, 0.7, (SIDE, SIDE, 3)).astype(np.uint8)
        cv2.circle(picture, (100, 100), 80, (60, 60, 70), -1, cv2.LINE_AA)
        return picture

    usual = usual_part([views_of(ring(seed), tmp_path) for seed in range(4)])
    bitten = ring(9)
    bitten[85:115, 155:177] = 240
    assert usual.unusual(views_of(bitten, tmp_path)).said == ()
    assert len(usual.unusual(views_of(with_disc(bitten, (14, 14), 12, (40, 40, 40)), tmp_path)).regions) == 1


def test_a_weak_colour_that_turned_is_not_paler() -> None:
    references = [MeanColour(ab, 7.0) for ab in ((2.9, -4.5), (2.8, -3.7), (2.8, -4.4), (2.9, -4.1))]
    assert "redder" in other_colour(MeanColour((3.8, 0.1), 5.7), references)
    assert "paler" in other_colour(MeanColour((0.1, 0.0), 0.2), references)


@pytest.mark.parametrize("count", [1, 3])
def test_normal_parts_have_nothing_of_it(count: int, tmp_path: Path) -> None:
    for make in (nut, cloth):
        usual = usual_part([views_of(make(seed), tmp_path) for seed in range(count)])
        assert [usual.unusual(views_of(make(seed), tmp_path)).said for seed in range(20, 23)] == [()] * 3


@pytest.mark.parametrize(
    ("hue_deg", "strength", "said"),
    [
        (-25, 1, "redder"),
        (30, 1, "yellower"),
        (-90, 1, "more purple"),
        (90, 1, "greener"),
        (180, 1, "bluer"),
        (0, 0.05, "paler in colour"),
        (0, 0.2, "paler in colour"),
        (0, 1.7, "more strongly coloured"),
    ],
)
def test_another_colour_is_named(usual: UsualPart, hue_deg: float, strength: float, said: str, tmp_path: Path) -> None:
    found = usual.unusual(views_of(nut(9, hue_deg=hue_deg, strength=strength), tmp_path))
    assert [one.split(":")[0] for one in found.said] == [f"The part is {said} than any of its references"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": 0.65}, "smaller than"),
        ({"size": 1.5}, "larger than"),
        ({"light": 0.5}, "darker than"),
        ({"light": 1.9}, "lighter than"),
        ({"shade": 0.2}, "shows less contrast than"),
        ({"shade": 2.4}, "shows more contrast than"),
    ],
)
def test_another_size_or_light_is_named(usual: UsualPart, change: dict[str, float], said: str, tmp_path: Path) -> None:
    found = usual.unusual(views_of(nut(9, **change), tmp_path))
    assert any(
        one.startswith(f"The part {'' if 'shows' in said else 'is '}{said} any of its ref") for one in found.said
    )


def test_of_a_photo_without_background_all_is_the_part(tmp_path: Path) -> None:
    usual = usual_part([views_of(cloth(seed), tmp_path) for seed in range(3)])
    red = np.asarray(cloth(9)) * np.array([1.0, 0.7, 0.7])
    assert "redder" in usual.unusual(views_of(red.astype(np.uint8), tmp_path)).said[0]


def test_pieces_that_lie_apart_in_the_references_are_no_foreign_things(tmp_path: Path) -> None:
    def pair(seed: int) -> Pixels:
        return with_disc(nut(seed), (30, 30), 36, (170, 120, 70))

    usual = usual_part([views_of(pair(seed), tmp_path) for seed in range(3)])
    assert usual.unusual(views_of(pair(9), tmp_path)).said == ()
    assert usual.unusual(views_of(with_disc(pair(9), (30, 170), 14, (255, 255, 255)), tmp_path)).said


def test_the_odd_reference_is_named(tmp_path: Path) -> None:
    photos = [nut(0), with_disc(nut(1), (30, 30), 14, (255, 255, 255)), nut(2), nut(3), nut(4, hue_deg=60)]
    told = odd_parts([views_of(one, tmp_path) for one in photos])
    assert [one.split(" th")[0] for one in told] == ["", "Something lies beside", "", "", "The part is yellower"]
    assert odd_parts([views_of(one, tmp_path) for one in photos[:3]]) == ("", "", "")


def test_the_part_is_held_up_and_told_why(tmp_path: Path) -> None:
    paths = [tmp_path / f"{seed}.png" for seed in range(6)]
    for seed, path in enumerate(paths):
        Image.fromarray(nut(seed)).save(path)
    Image.fromarray(with_disc(nut(5), (30, 30), 14, (255, 255, 255))).save(paths[5])
    inspector = Inspector(references=paths[:4], localizer=Counting(), qualification=NOTHING_PLANTED)
    assert inspector.examine(paths[4]).evidence.mismatch == ""
    found = inspector.inspect(paths[5])
    assert found.outcome == "REVIEW"
    assert found.review_reasons[0].startswith("Something lies beside the part")
    assert found.answer.startswith("Something lies beside the part")
    assert any(defect.description == "no reference has anything there" for defect in found.defects)
    covered = tmp_path / "rules.yaml"
    covered.write_text("class_name: nut\nignore: [[0, 0, 0.3, 0.3]]\n")
    rules = Inspector.from_rules(covered).rules
    ignoring = Inspector(rules, references=paths[:4], localizer=Counting(), qualification=NOTHING_PLANTED)
    assert ignoring.examine(paths[5]).evidence.mismatch == ""
