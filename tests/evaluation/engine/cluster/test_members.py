"""What workers, models and localizers do with an order, or send back where they cannot; without a cluster."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from converters.view import ViewBudget
from evaluation.engine.cluster import desk as desk_module
from evaluation.engine.cluster import members, stand_ins
from evaluation.engine.cluster.desk import Desk
from evaluation.engine.cluster.engine import Workers, _Crew
from evaluation.engine.cluster.members import LocalizerMember, ModelMember, Worker, answer_together
from evaluation.engine.cluster.pool import ItemError, Trouble
from evaluation.engine.cluster.recipe import Recipe
from evaluation.engine.cluster.stand_ins import ModelOrder, SharedLocalizer, SharedModel, as_read
from evaluation.engine.examiner import Result
from evaluation.engine.spending import estimate_tokens_of_task
from evaluation.errors import RunError
from evaluation.runs.plan import Task
from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.backends.hf.schema import bounded_schema
from vlm_inspect.config import InspectorConfig, LocalizerConfig, ModelConfig
from vlm_inspect.datasets.item import Item
from vlm_inspect.errors import BackendError, InspectWarning, LocalizerError
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.inspector import Inspector
from vlm_inspect.localization.localizer import PICTURES, Localization
from vlm_inspect.localization.localizer_sum import LocalizerSum
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject
from vlm_inspect.references import Part, ReferenceSet, load_references


class _RayError(Exception):
    pass


class _RayTaskError(_RayError):
    pass


class Store:
    """Ray's object store and nothing else: what is put there is sent, and can be lost."""

    exceptions = SimpleNamespace(RayError=_RayError, RayTaskError=_RayTaskError)

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self._kept: list[bytes] = []

    def put(self, value: Any) -> int:
        self._kept.append(pickle.dumps(value))
        self.sizes.append(len(self._kept[-1]))
        return len(self._kept) - 1

    def get(self, reference: Any) -> Any:
        if isinstance(reference, int):
            return pickle.loads(self._kept[reference])
        if isinstance(reference, Exception):
            raise reference
        return reference


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    made = Store()
    for module in (desk_module, members, stand_ins):
        monkeypatch.setattr(module, "import_module", lambda name: made)
    return made


class DirectDesk:
    """A desk with one member, which is no process."""

    def __init__(self, member: Any) -> None:
        self.kinds: list[str] = []
        self.ask = SimpleNamespace(remote=self._ask)
        self._member = member

    def _ask(self, order: Any, kind: str) -> Any:
        self.kinds.append(kind)
        return self._member.work([order])[0]


def recipe(**changes: Any) -> Recipe:
    """A recipe of the offline model without a localizer."""
    named = {
        "model": "evidence",
        "localizer": "none",
        "device": "auto",
        "timeout_s": 1.0,
        "clip": None,
        "base_url": None,
    }
    given = {name: changes.pop(name, told) for name, told in named.items()}
    config = InspectorConfig(
        model=ModelConfig(name=given["model"], timeout_s=given["timeout_s"], base_url=given["base_url"]),
        localizer=LocalizerConfig(name=given["localizer"], clip=given["clip"]),
        device=given["device"],
    )
    facts = {"rules": {}, "thresholds": {}, "price": None, "server": None}
    names = {"model_name": given["model"], "localizer_name": given["localizer"]}
    return Recipe(**{"config": config, "folder": Path.cwd(), **facts, **names, **changes})


@pytest.fixture
def part(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "part.png")
    return tmp_path / "part.png"


def task_of(path: Path) -> Task:
    return Task("a", Item(id="a", category="nut", paths=(path,), split="test", anomalous=False), ())


def test_a_worker_examines(part: Path) -> None:
    worker = Worker(recipe())
    assert worker.ready()
    (found,) = worker.work([task_of(part)])
    assert isinstance(found, Result)
    assert found.record.failure is None
    (missing,) = worker.work([task_of(part.with_name("gone.png"))])
    assert isinstance(missing, Result)
    assert missing.record.failure is not None


def test_a_worker_says_why_it_cannot_judge(tmp_path: Path, part: Path) -> None:
    def said(**changes: Any) -> str:
        (found,) = Worker(recipe(**changes)).work([task_of(part)])
        assert isinstance(found, Trouble)
        assert not found.alone
        return found.message

    assert "has no folder" in said(folder=tmp_path / "gone")
    assert "install the same" in said(version="0.0.1")
    other = {"model": "openai:tiny", "base_url": "http://127.0.0.1:9/v1", "server": "http://127.0.0.1:8/v1"}
    assert "would ask http://127.0.0.1:9/v1, not http://127.0.0.1:8/v1" in said(**other)


class Batches:
    """A model that refuses requests about nuts, and batches of more than two."""

    name = "hf:tiny"

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def generate_batch(self, requests: Sequence[Request], *, samples: int = 1) -> list[list[Reply]]:
        self.sizes.append(len(requests))
        if len(requests) > 2:
            raise BackendError("out of memory")
        if any(request.rules.class_name == "nut" for request in requests):
            raise BackendError("nuts are too much")
        return [[Reply(request.rules.class_name)] * samples for request in requests]


def request_about(path: Path, name: str = "part", **options: Any) -> Request:
    from vlm_inspect.rules import RuleBook

    return Inspector(rules=RuleBook(class_name=name), localizer=None, **options).prepare(path).request


def test_a_batch_that_fails_is_asked_one_by_one(part: Path) -> None:
    model = Batches()
    asked = [request_about(part, name) for name in ("bolt", "nut", "screw")]
    bolt, nut, screw = answer_together(model, asked, 2)
    assert [reply.text for reply in (*bolt, *screw)] == ["bolt", "bolt", "screw", "screw"]
    assert nut == Trouble("nuts are too much", alone=True)
    assert model.sizes == [3, 1, 1, 1]


def test_a_model_that_cannot_be_used_ends_the_run(store: Store, part: Path) -> None:
    member = ModelMember(recipe(model="hf:no/such/folder"))
    assert member.ready()
    model = SharedModel(DirectDesk(member), "hf:no/such/folder")
    with pytest.raises(RunError, match="no/such/folder"):
        model.generate(request_about(part))


def test_a_request_goes_to_the_model_and_its_replies_come_back(store: Store, part: Path) -> None:
    member = ModelMember(recipe())
    member._model = Batches()
    desk = DirectDesk(member)
    model = SharedModel(desk, "hf:tiny")
    assert [reply.text for reply in model.generate(request_about(part, "bolt"), samples=3)] == ["bolt"] * 3
    with pytest.raises(BackendError, match="nuts are too much"):
        model.generate(request_about(part, "nut"))
    assert desk.kinds == ["bolt, 3", "nut, 1"], "a batch is of one class, and asks for as many answers"
    (told,) = member.work([ModelOrder(_RayError("owner died"), 1)])
    assert isinstance(told, Trouble), "nobody waits for what a dead worker asked"


def test_a_dead_desk_fails_one_item(store: Store, part: Path) -> None:
    dead = SimpleNamespace(ask=SimpleNamespace(remote=lambda order, kind: _RayError("the actor died")))
    with pytest.raises(ItemError, match="hands out requests died: the actor died"):
        SharedModel(dead, "hf:tiny").generate(request_about(part))
    faulty = SimpleNamespace(ask=SimpleNamespace(remote=lambda order, kind: _RayTaskError("a bug")))
    with pytest.raises(_RayTaskError):
        SharedModel(faulty, "hf:tiny").generate(request_about(part))


def test_what_a_model_does_not_read_is_not_sent(part: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((600, 600, 3), np.uint8)).save(part)
    request = request_about(part)
    sent = as_read(request)
    assert sent.messages == request.messages
    assert bounded_schema(sent) == bounded_schema(request)
    assert len(pickle.dumps(request)) > 1_000_000
    assert len(pickle.dumps(sent)) < 50_000


class Spots:
    """A localizer that finds how bright the views are, beside the references."""

    name = "dapo-mini"

    kinds = PICTURES

    def fit(self, references: ReferenceSet, subject: Subject = ANY_SUBJECT) -> "FittedSpots":
        if subject.class_name == "nut":
            raise LocalizerError("no word for it")
        return FittedSpots(len(references))


class FittedSpots:
    name = "dapo-mini"

    def __init__(self, references: int) -> None:
        self.references = references

    def localize(self, part: Part) -> Localization:
        bright = float(part.views[0].image.mean()) + self.references
        values = np.full(part.views[0].size_hw, bright, np.float32)
        return Localization((AnomalyMap(0, values, bright, self.name),))


def localizers(store: Store) -> SharedLocalizer:
    member = LocalizerMember(recipe(localizer="dapo"))
    assert member.ready()
    member._loaded["dapo"] = Spots()
    return SharedLocalizer(DirectDesk(member), "dapo", "dapo-mini")


def test_views_go_to_the_localizer_and_references_once(store: Store, part: Path) -> None:
    shared = localizers(store)
    views = request_about(part).views
    fitted = shared.fit(ReferenceSet.of_views([request_about(part).views]))
    for _ in range(3):
        (found,) = fitted.localize(Part(None, tuple(views))).maps
        assert found.score == pytest.approx(float(views[0].image.mean()) + 1)
    assert len(store.sizes) == 3 + 1


def test_workers_share_what_is_learned_of_the_same_files(store: Store, part: Path) -> None:
    shared = localizers(store)
    known = load_references([part], "image", ViewBudget())
    ids = [shared.fit(known, subject)._order.fit for subject in (ANY_SUBJECT, ANY_SUBJECT, Subject("bolt"))]
    assert ids[0] == ids[1] != ids[2]
    bare = ReferenceSet.of_views(known.views)
    assert shared.fit(bare)._order.fit != shared.fit(bare)._order.fit


def test_a_localizer_that_cannot_be_used_ends_the_run(store: Store, part: Path) -> None:
    shared = localizers(store)
    one = Part(None, tuple(request_about(part).views))
    with pytest.raises(RunError, match="no word for it"):
        shared.fit(ReferenceSet(), Subject("nut")).localize(one)
    without = SharedLocalizer(DirectDesk(LocalizerMember(recipe(localizer="winclip"))), "winclip", "winclip")
    with pytest.raises(RunError, match="needs CLIP weights"):
        without.fit(ReferenceSet()).localize(one)


def test_a_shared_localizer_is_one_part_of_the_sum(store: Store, part: Path) -> None:
    made = recipe(localizer="memory+dapo", localizer_name="memory+dapo-mini")
    assert made.localizer_names == {"memory": "memory", "dapo": "dapo-mini"}
    examiner = made.make_examiner(None, {"dapo": localizers(store)})
    assert isinstance(examiner.inspector.localizer, LocalizerSum)
    assert examiner.inspector.localizer.name == "memory+dapo-mini"
    alone = recipe(localizer="dapo", localizer_name="dapo-mini").make_examiner(None, {"dapo": localizers(store)})
    assert isinstance(alone.inspector.localizer, SharedLocalizer), "several threads may wait for it at once"


def test_an_item_whose_localizers_all_died_fails_alone(part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(recipe())
    worker._examiner = SimpleNamespace(examine=lambda task: (_ for _ in ()).throw(ItemError("4 died")))
    assert worker.work([task_of(part)]) == [Trouble("4 died", alone=True)]


def test_workers_raise_what_comes_back_as_trouble() -> None:
    import asyncio

    class Pool:
        def __init__(self, told: Any) -> None:
            self._told = told

        async def ask(self, order: Any) -> Any:
            return self._told

    with pytest.raises(RunError, match="cannot be read"):
        asyncio.run(Workers(Pool(Trouble("the references cannot be read")), 2).examine(None))
    with pytest.raises(BackendError, match="died"):
        asyncio.run(Workers(Pool(Trouble("4 died", alone=True)), 2).examine(None))


def test_tokens_of_a_task_are_estimated_before_its_request_is_made() -> None:
    assert estimate_tokens_of_task(SimpleNamespace(references=(Path("r.png"),))) == 2300


def test_a_desk_counts_the_dead(store: Store) -> None:
    import asyncio

    desk = Desk([], "model", 1)
    assert asyncio.run(desk.deaths()) == 0
    desk._count()
    assert asyncio.run(desk.deaths()) == 1


def test_the_dead_of_pools_are_told_at_the_end() -> None:
    class Ray:
        exceptions = SimpleNamespace(RayError=_RayError)

        def get(self, told: Any, timeout: float) -> int:
            if isinstance(told, Exception):
                raise told
            return int(told)

    def crew(told: Any) -> _Crew:
        desk = SimpleNamespace(deaths=SimpleNamespace(remote=lambda: told))
        return _Crew(Ray(), _hired={"a": desk}, _desks={"model": "a"})

    with pytest.warns(InspectWarning, match=r"a Ray process \(model\) died, 2 in all"):
        crew(2).report()
    crew(0).report()
    crew(_RayError("the desk is dead itself")).report()
