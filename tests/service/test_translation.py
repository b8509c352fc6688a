"""What the program says of a part in the language of the page: every sentence of it, and nothing else."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from vlm_inspect.answers.translation import translation_to
from vlm_inspect.page.wording import languages
from vlm_inspect.prompt_files import prompt_folder

ROOT = Path(__file__).resolve().parents[2]
SAYING = [
    "vlm_inspect/decision/agreement.py", "vlm_inspect/decision/bounds.py", "vlm_inspect/decision/fusion.py",
    "vlm_inspect/localization/clip_events/appearance.py", "vlm_inspect/localization/clip_events/durations.py",
    "vlm_inspect/localization/clip_events/motion.py", "vlm_inspect/localization/clip_events/speed.py",
    "vlm_inspect/localization/curves/events.py", "vlm_inspect/localization/curves/polarity.py",
    "vlm_inspect/localization/photo_mismatch.py",
    "vlm_inspect/localization/other_part.py", "vlm_inspect/localization/whole_part/colour.py",
    "vlm_inspect/localization/whole_part/traits.py", "vlm_inspect/localization/whole_part/usual_part.py",
    "vlm_inspect/registration/findings.py",
    "vlm_inspect/registration/identity.py", "vlm_inspect/report/heat.py", "vlm_inspect/sensitivity/pod.py",
]  # fmt: skip
"""Modules whose sentences reach the page of a case."""
PIECES = {
    "rule.severity": "major",
    "side": "below",
    "lost": "extra",
    "amount": "28 mm², 3.1 mm³ missing",
    "unit": "mm",
    "name": "darker",
    "self.unit": "mm",
    "others": "",
    "size": "",
    "source.source": "memory",
    "s": "s",
    "_at(one.view, one.box_xyxyn)": "x 0.10 to 0.20, y 0.30 to 0.40 of view 1",
}
"""What is put where a sentence has a value; elsewhere a number."""
NAMES = {"mirror image", "other part", "several parts", "other unit", "other clock"}
"""Of kinds, in the code alone."""


def sentences_of(path: Path) -> list[str]:
    """Return the sentences of a module, with an example of each of their values."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef | ast.JoinedStr | ast.Raise):
            inside |= {
                id(one) for one in ast.walk(node) if isinstance(node, ast.JoinedStr | ast.Raise) and one is not node
            }
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            inside.add(id(node.value))
    found = []
    for node in ast.walk(tree):
        if id(node) in inside:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
        elif isinstance(node, ast.JoinedStr):
            found.append("".join(_piece(one) for one in node.values))
    return [
        text.replace("2.5mm", "2.5 mm")
        for text in found
        if text not in NAMES and re.search(r"[a-z] \S", text) and text == text.strip(" ,:;")
    ]


def _piece(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    assert isinstance(node, ast.FormattedValue)
    name = ast.unparse(node.value)
    return PIECES.get(name, "2.5")


@pytest.mark.parametrize("module", SAYING)
def test_every_sentence_of_the_program_is_known(module: str) -> None:
    translate = translation_to("de")
    assert translate is not None
    sentences = sentences_of(ROOT / module)
    assert sentences
    assert [one for one in sentences if translate(one) == one] == []


def test_every_sentence_of_the_offline_report_is_known() -> None:
    translate = translation_to("de")
    assert translate is not None
    told = yaml.safe_load((prompt_folder() / "words" / "evidence_report.yaml").read_text(encoding="utf-8"))
    words = {"references": "4 references", "probability": "under 0.01", "measured": "length 2 mm", "defect": "Scratch"}
    words |= {"place": "view 0 (depth, front), 5 % from the left and 6 % from the top", "size": ", 2.1 mm across"}
    words |= {"note": ": 0.31 mm below the reference", "sentence": "Scratch at view 1", "id": "length"}
    for group in ("verdicts", "checks", "text_rules", "regions"):
        for name, text in told[group].items():
            filled = re.sub(r"\{(\w+)\}", lambda found: words.get(found[1], "2"), text)
            assert translate(filled) != filled or name == "either", (group, name, filled)


REFUSING = sorted((ROOT / "vlm_inspect/service/routes").glob("*.py")) + [
    ROOT / "vlm_inspect/service" / name for name in ("access.py", "bodies.py", "uploads.py", "recalibration.py")
]


def refusals_of(path: Path) -> list[str]:
    """Return the lines with which a module refuses, with an example of each of their values."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Call) and (name in ("HTTPException", "too_many") or name.endswith("Error")):
            for one in node.args:
                if isinstance(one, ast.Constant) and isinstance(one.value, str):
                    found.append(one.value)
                elif isinstance(one, ast.JoinedStr):
                    found.append("".join(_piece(part) for part in one.values))
    return [text for text in found if "2.5: 2.5" not in text]  # what pydantic says of a body, which no page sends


def test_every_refusal_that_a_page_may_meet_is_known() -> None:
    translate = translation_to("de")
    assert translate is not None
    refusals = {text for path in REFUSING for text in refusals_of(path)}
    assert len(refusals) > 25
    assert sorted(one for one in refusals if translate(one) == one) == []


@pytest.mark.parametrize(
    ("said", "german"),
    [
        (
            "Dent or scratch at view 0 (depth, front), 54 % from the left and 50 % from the top, point (12.9, 1.7, "
            "-18.9) mm bears on this rule: 0.37 mm below the reference over 5.4 mm (28 mm², 3.1 mm³ missing).",
            "Delle oder Kratzer, Ansicht 0 (Tiefe, vorn), 54 % von links und 50 % von oben, Punkt (12,9; 1,7; -18,9) "
            "mm, betrifft diese Regel: 0,37 mm unter der Referenz auf 5,4 mm (28 mm², 3,1 mm³ fehlen).",
        ),
        ("18.2 mm < 19.7 mm", "18,2 mm < 19,7 mm"),
        (
            "The part exceeds the tolerance that 4 references set (P(anomalous) over 0.99). 198.1 grey > 140 grey",
            "Das Teil überschreitet die Toleranz, die 4 Referenzen setzen (P(anomal) über 0,99). 198,1 grey > 140 grey",
        ),
        (
            "view 0 (image, 640 x 480 px); pixels 1, 2 to 30, 40",
            "Ansicht 0 (Bild, 640 x 480 px); Pixel 1, 2 bis 30, 40",
        ),
        ("memory: limit 0.812, peak 1.3", "Vergleich mit Referenzen: Grenze 0,812, Spitze 1,3"),
        (
            "this OK rests on likeness to 8 references and measured rules (a.b); no model read the rules in words: d",
            "dieses OK beruht auf der Ähnlichkeit mit 8 Referenzen und gemessenen Regeln (a.b); kein Modell hat die "
            "Regeln in Worten gelesen: d",
        ),
        ("I see a scratch of 2.5 mm, at the top.", "I see a scratch of 2.5 mm, at the top."),
        ("I see it.\n\nNo place exceeds its tolerance.", "I see it.\n\nKeine Stelle überschreitet ihre Toleranz."),
        ("part 1.5.png", "part 1.5.png"),
        ("look left or right at the top", "look left or right at the top"),
    ],
)
def test_sentences_with_their_values(said: str, german: str) -> None:
    assert languages()["de"].said(said) == german
    assert languages()["en"].said(said) == said


def test_nothing_that_is_said_takes_long() -> None:
    translate = translation_to("de")
    assert translate is not None
    foreign = "view 1 (" * 200 + "; ".join(f"{n} s to x (a, b): c or d" for n in range(200)) + ")" * 200
    assert translate(foreign)


def test_a_report_of_several_sentences_is_translated_sentence_by_sentence() -> None:
    translate = translation_to("de")
    assert translate is not None
    said = translate(
        "This report words measurements; no language model looked at the part. The part exceeds the tolerance that 6 "
        "references set (P(anomalous) over 0.99). Rule speed: length 29.64 mm, within its limits. Deviation from the "
        "references at view 0 (image, 20 x 20 px), 5 % from the left and 6 % from the top, P(anomalous) over 0.99: "
        "1.22 s to 1.37 s, most at 1.30 s, accel: level, spread or frequencies over a longer time as in no reference."
    )
    assert said.startswith("Dieser Bericht gibt Messungen in Worten wieder; kein Sprachmodell hat das Teil gesehen. ")
    assert "1,22 s bis 1,37 s" in said
    assert "Regel speed: Länge 29,64 mm, innerhalb ihrer Grenzen." in said
    for english in ("report", "looked", "exceeds", "within its limits", "from the left", " at ", "0.99"):
        assert english not in said


def test_a_sentence_of_two_clauses_is_known_among_others() -> None:
    translate = translation_to("de")
    assert translate is not None
    both = "Like the references; not read by a model"
    assert translate(f"{both}; the whole surface is odd") == f"{translate(both)}; die ganze Oberfläche ist auffällig"
    assert translate(f"as they say; {both}; so it is") == f"as they say; {translate(both)}; so it is"
