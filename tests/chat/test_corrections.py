"""Corrections: proposed with a checked diff, weighed against the kept cases, made on yes alone."""

import os
from pathlib import Path

import pytest

from tests.chat.conftest import Desk
from tests.chat.plates import RULES, PlainDifference, paint_plate
from vlm_inspect.chat.corrections import Corrector
from vlm_inspect.chat.dialogue import Dialogue
from vlm_inspect.chat.places import hot_box, number_places
from vlm_inspect.errors import OutputError, RuleError
from vlm_inspect.inspector import Inspector
from vlm_inspect.qualification.trial import PLANTED
from vlm_inspect.rules import load_rules, resolve_references


def test_a_limit_flips_what_it_must(desk: Desk) -> None:
    dialogue = Dialogue(desk.case(), desk.store, rules_path=desk.rules_path)
    proposal = dialogue.corrector.propose_rule("bright", None, severity="critical", check={"min": 180.0})
    assert "+    check: {measure: brightness, min: 180, max: 200}" in proposal.diff
    flips = dialogue.flips(proposal)
    assert flips.compared == 2
    assert [(Path(flip.source).stem, flip.before, flip.now) for flip in flips.flips] == [("clean", "OK", "NG")]
    assert desk.rules_path.read_text() == RULES
    dialogue.decide(proposal, accepted=True)
    rule = load_rules(desk.rules_path).rule("bright")
    assert rule is not None
    assert rule.severity == "critical"
    (kept,) = desk.store.corrections(dialogue.case.id)
    assert (kept.kind, kept.accepted, kept.payload["diff"]) == ("rule", True, proposal.diff)


def test_no_changes_nothing_and_is_kept(desk: Desk) -> None:
    dialogue = Dialogue(desk.case(), desk.store, rules_path=desk.rules_path)
    dialogue.decide(dialogue.corrector.propose_defect("stain"), accepted=False)
    assert desk.rules_path.read_text() == RULES
    assert desk.store.corrections(dialogue.case.id)[0].accepted is False


def test_an_ignored_place_does_not_count_in_the_record_nor_in_a_new_inspection(desk: Desk) -> None:
    case = desk.case()
    dialogue = Dialogue(case, desk.store, rules_path=desk.rules_path)
    (place,) = number_places(case)
    proposal = dialogue.corrector.propose_ignore(place.view, hot_box(case, place))
    assert [(flip.before, flip.now) for flip in dialogue.flips(proposal).flips] == [("NG", "OK")]
    dialogue.decide(proposal, accepted=True)
    rules = load_rules(desk.rules_path)
    inspector = Inspector(rules=rules, references=resolve_references(rules), localizer=PlainDifference())
    assert inspector.inspect(desk.folder / "spot.png").outcome == "OK"


def test_a_removed_rule_and_one_that_was_not_measured(desk: Desk) -> None:
    dialogue = Dialogue(desk.case("clean"), desk.store, rules_path=desk.rules_path)
    removal = dialogue.flips(dialogue.corrector.propose_removal("bright"))
    assert (removal.flips, removal.untold, removal.own) == ((), (), "OK")
    unmeasured = dialogue.corrector.propose_rule("sharp", "It is sharp.", check={"measure": "sharpness", "min": 1.0})
    flips = dialogue.flips(unmeasured)
    assert flips.flips == ()
    assert len(flips.untold) == 2
    assert all("sharpness was not measured" in line for line in flips.untold)


@pytest.mark.slow(10)
def test_a_new_reference_is_measured_against(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setitem(PLANTED, "image", 4)  # too few to earn an OK; with all 120 both come out OK, in a minute
    torch.set_num_threads(1)
    odd = paint_plate(desk.folder / "odd.png", seed=33, spot=True)
    dialogue = Dialogue(desk.case(), desk.store, rules_path=desk.rules_path)
    proposal = dialogue.corrector.propose_reference(odd, reason="a spot is fine")
    assert "+references: [normal/*.png, odd.png]" in proposal.diff
    flips = dialogue.flips(proposal)
    assert flips.compared == 2
    (spot,) = (one for one in flips.flips if Path(one.source).stem == "spot")
    assert spot.before == "NG"
    assert spot.now != "NG", "it looks like one of the references now"
    assert all(one.now != "NG" for one in flips.flips), "and what is clean is no defect beside it"


def test_a_change_that_would_not_validate_is_one_line(desk: Desk) -> None:
    corrector = Corrector(desk.case(), desk.rules_path)
    wrong = [
        lambda: corrector.propose_rule("a b", "It is."),
        lambda: corrector.propose_rule("new", None),
        lambda: corrector.propose_rule("new", "Long.", check={"measure": "lenght", "min": 1.0}),
        lambda: corrector.propose_rule("new", "Long.", check={"measure": "length"}),
        lambda: corrector.propose_rule("bright", None, check={"min": 300.0}),
        lambda: corrector.propose_rule("bright", None),
        lambda: corrector.propose_removal("nothing"),
        lambda: corrector.propose_defect("Spot"),
        lambda: corrector.propose_reference(desk.folder / "nowhere.png"),
        lambda: corrector.propose_reference(desk.folder / "normal" / "0.png"),
    ]
    for propose in wrong:
        with pytest.raises(RuleError, match=r"^[^\n]+$"):
            propose()
    assert desk.rules_path.read_text() == RULES


def test_a_file_that_changed_meanwhile_is_left_alone(desk: Desk) -> None:
    dialogue = Dialogue(desk.case(), desk.store, rules_path=desk.rules_path)
    proposal = dialogue.corrector.propose_defect("stain")
    desk.rules_path.write_text(RULES + "unit: mm\n")
    with pytest.raises(RuleError, match="changed since"):
        dialogue.decide(proposal, accepted=True)
    assert desk.rules_path.read_text() == RULES + "unit: mm\n"
    assert desk.store.corrections(dialogue.case.id)[0].accepted is None


def test_line_ends_and_byte_order_mark_stay(desk: Desk) -> None:
    raw = b"\xef\xbb\xbf" + RULES.replace("\n", "\r\n").encode()
    desk.rules_path.write_bytes(raw)
    Corrector(desk.case(), desk.rules_path).propose_defect("stain").apply()
    assert desk.rules_path.read_bytes() == raw.replace(b"[spot]", b"[spot, stain]")


def test_without_a_rule_book_nothing_can_be_kept(desk: Desk) -> None:
    with pytest.raises(RuleError, match="--rules"):
        Corrector(desk.case(), None).propose_defect("stain")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_rule_book_that_cannot_be_written_is_left_whole(desk: Desk) -> None:
    proposal = Corrector(desk.case(), desk.rules_path).propose_defect("stain")
    desk.folder.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="plate"):
            proposal.apply()
    finally:
        desk.folder.chmod(0o700)
