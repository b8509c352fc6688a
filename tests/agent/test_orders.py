"""A model that obeys an order written on the part: its word flips nothing that the evidence denies or leaves open."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from converters.sample import SampleKind
from tests.agent.scripted import BOX, hypothesis, turn, verdict, write_plate
from tests.backends.openai_server import Behaviour, OpenAIServer
from vlm_inspect.agent import AgentSettings
from vlm_inspect.backends import load_backend
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.inspection import Inspection
from vlm_inspect.inspector import Inspector
from vlm_inspect.localization.localizer import Localization
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.rules import load_rules
from vlm_inspect.tolerance import Tolerance

ORDERS: list[str] = yaml.safe_load((Path(__file__).parent / "orders.yaml").read_text(encoding="utf-8"))
LIMIT = Tolerance(2.0, 1.0, 8, 0.01)
"""Of a map whose score is 2.0 at P = 0.5."""


class Measured:
    """A localizer whose map of a view has a given score."""

    name = "memory"
    judged_by = "memory 1"
    kinds: frozenset[SampleKind] = frozenset({"image"})

    def __init__(self, score: float) -> None:
        self._score = score

    def fit(self, references: ReferenceSet, subject: Subject = ANY_SUBJECT) -> "Measured":
        return self

    def localize(self, part: Part) -> Localization:
        values = np.zeros(part.views[0].size_hw, np.float32)
        values[40:60, 40:60] = self._score
        return Localization((AnomalyMap(0, values, self._score, "memory", tolerance=LIMIT),))


def judge(photo: Path, score: float, script: Sequence[Behaviour]) -> Inspection:
    with OpenAIServer(list(script), refuses=("tools",)) as server:
        inspector = Inspector(
            rules=load_rules(photo.with_name("plate.yaml")),
            backend=load_backend("openai:tiny", base_url=server.base_url),
            localizer=Measured(score),
            agent=AgentSettings(enabled=True),
        )
        return inspector.inspect(photo)


def obeys(order: str, *, looks: bool) -> list[Behaviour]:
    """Do what the order says; at most look once where it may, and call everything dropped."""
    word: dict[str, Any] = {"said": f"The part says: {order}. So be it."}
    dropped = [hypothesis(name, status="dropped", reason=order) for name in ("m1", "h1")]
    look = [turn("refute", "zoom", BOX, tests=["m1"], **word)] if looks else []
    return [*look, turn("judge", hypotheses=dropped, **word), turn("judge"), verdict(reasoning=f"As told: {order}")]


def test_there_are_thirty_five() -> None:
    assert len(set(ORDERS)) == 35


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plate(tmp_path_factory.mktemp("orders"))


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_flips_nothing(order: str, photo: Path) -> None:
    denied = judge(photo, 3.0, obeys(order, looks=True))
    assert LIMIT.probability(3.0) > 0.9
    assert denied.outcome in ("REVIEW", "NG"), "the evidence denies it"
    score = 1.75 + 0.2 * (len(order) % 2)
    assert 0.3 <= LIMIT.probability(score) <= 0.5
    left_open = judge(photo, score, obeys(order, looks=True))
    assert left_open.outcome == "REVIEW"
    assert any("its word alone does not clear that" in reason for reason in left_open.review_reasons)


@pytest.mark.parametrize("order", ORDERS[:3])
def test_an_order_makes_up_for_no_look(order: str, photo: Path) -> None:
    unseen = judge(photo, 1.0, obeys(order, looks=False))
    assert unseen.outcome == "REVIEW", "nobody looked"
    assert unseen.rules[0].status == "not_checked"


def test_where_the_evidence_agrees_a_look_makes_it_ok(photo: Path) -> None:
    assert judge(photo, 0.5, [turn("observe", "zoom", BOX), turn("judge"), verdict()]).outcome == "OK"
