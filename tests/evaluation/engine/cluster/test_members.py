"""What workers, models and localizers do with an order, or send back where they cannot; without a cluster."""

import asyncio
import inspect
import pickle
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from converters.view import ViewBudget
from evaluation.engine.cluster import members, stand_ins
from evaluation.engine.cluster.engine import Workers, _Actors
from evaluation.engine.cluster.group import ItemError, Trouble
from evaluation.engine.cluster.members import LocalizerMember, ModelMember, Worker, answer_together
from evaluation.engine.cluster.recipe import Recipe
from evaluation.engine.cluster.stand_ins import SharedLocalizer, SharedModel, as_read
from evaluation.engine.examiner import Result
from evaluation.engine.spending import estimate_tokens_of_task
from evaluation.errors import RunError
from evaluation.runs.plan import Task
from tests.waiting import LONGEST_S
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
    for module in (members, stand_ins):
        monkeypatch.setattr(module, "import_module", lambda name: made)
    return made


class DirectGroup:
    """A group of one member, which is no process; what it is given is sent all the same."""

    def __init__(self, member: Any) -> None:
        self._member = member

    def ask(self, method: str, *given: Any) -> Any:
        told = getattr(self._member, method)(*pickle.loads(pickle.dumps(given)))
        told = asyncio.run(told) if inspect.isawaitable(told) else told
        if isinstance(told, Trouble):
            raise told.error
        return told


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
    found = worker.examine(task_of(part))
    assert isinstance(found, Result)
    assert found.record.failure is None
    missing = worker.examine(task_of(part.with_name("gone.png")))
    assert isinstance(missing, Result)
    assert missing.record.failure is not None


def test_a_worker_says_why_it_cannot_judge(tmp_path: Path, part: Path) -> None:
    def said(**changes: Any) -> str:
        found = Worker(recipe(**changes)).examine(task_of(part))
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
    member = ModelMember(recipe(model="hf:no/such/folder"), 1)
    assert member.ready()
    model = SharedModel(DirectGroup(member), "hf:no/such/folder")
    with pytest.raises(RunError, match="no/such/folder"):
        model.generate(request_about(part))


def test_a_request_goes_to_the_model_and_its_replies_come_back(store: Store, part: Path) -> None:
    member = ModelMember(recipe(), 1)
    member._model = Batches()
    model = SharedModel(DirectGroup(member), "hf:tiny")
    assert [reply.text for reply in model.generate(request_about(part, "bolt"), samples=3)] == ["bolt"] * 3
    with pytest.raises(BackendError, match="nuts are too much"):
        model.generate(request_about(part, "nut"))


def test_requests_go_out_together_up_to_the_most_and_by_kind(part: Path) -> None:
    member = ModelMember(recipe(), 2)
    member._model = Batches()
    asked = [(request_about(part, name), samples) for name in ("bolt", "screw") for samples in (1, 1, 1, 2)]

    async def every() -> list[Any]:
        return await asyncio.gather(*(member.generate(*one) for one in asked))

    told = asyncio.run(asyncio.wait_for(every(), LONGEST_S))
    assert [[reply.text for reply in replies] for replies in told] == [
        [request.rules.class_name] * samples for request, samples in asked
    ]
    assert sorted(member._model.sizes) == [1, 1, 1, 1, 2, 2], "a batch is of one class, and asks for as many answers"


def test_a_request_waits_for_company_only_so_long(part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "LINGER_S", 0.5)
    member = ModelMember(recipe(), 2)
    member._model = Batches()
    request = request_about(part, "bolt")

    async def one_then_another() -> None:
        first = asyncio.create_task(member.generate(request, 1))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(member.generate(request, 1))
        await asyncio.gather(first, second)
        await member.generate(request, 1)

    asyncio.run(asyncio.wait_for(one_then_another(), LONGEST_S))
    assert member._model.sizes == [2, 1]


def test_a_fault_of_the_program_reaches_all_that_asked(part: Path) -> None:
    member = ModelMember(recipe(), 2)
    member._model = SimpleNamespace(generate_batch=lambda requests, samples: {}[samples])

    async def both() -> list[Any]:
        asked = (member.generate(request_about(part, "bolt"), 1) for _ in range(2))
        return await asyncio.gather(*asked, return_exceptions=True)

    assert [type(one) for one in asyncio.run(asyncio.wait_for(both(), LONGEST_S))] == [KeyError, KeyError]


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
    judged_by = "dapo-mini 1"

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
    return SharedLocalizer(DirectGroup(member), "dapo", "dapo-mini")


def test_views_go_to_the_localizer_and_references_once(store: Store, part: Path) -> None:
    shared = localizers(store)
    views = request_about(part).views
    fitted = shared.fit(ReferenceSet.of_views([request_about(part).views]))
    for _ in range(3):
        (found,) = fitted.localize(Part(None, tuple(views))).maps
        assert found.score == pytest.approx(float(views[0].image.mean()) + 1)
    assert len(store.sizes) == 1


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
    without = SharedLocalizer(DirectGroup(LocalizerMember(recipe(localizer="winclip"))), "winclip", "winclip")
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
    assert worker.examine(task_of(part)) == Trouble("4 died", alone=True)


def test_workers_raise_what_the_group_raises() -> None:
    class Group:
        def ask(self, method: str, task: Any) -> Any:
            raise ItemError("4 died")

    with pytest.raises(BackendError, match="died"):
        asyncio.run(Workers(Group(), 2).examine(None))


def test_a_localizer_whose_worker_died_fails_one_item(store: Store, part: Path) -> None:
    member = LocalizerMember(recipe(localizer="dapo"))
    member._loaded["dapo"] = Spots()
    order = stand_ins.LocalizerOrder("dapo", (), _RayError("owner died"), ANY_SUBJECT, "x")
    assert member.localize(order) == Trouble("its worker died: owner died", alone=True)


def test_tokens_of_a_task_are_estimated_before_its_request_is_made() -> None:
    assert estimate_tokens_of_task(SimpleNamespace(references=(Path("r.png"),))) == 2300


def test_the_dead_are_told_at_the_end() -> None:
    class Ray:
        def wait(self, calls: list[Any], num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
            there = [one for one in calls if one[1] is not None]
            return there, [one for one in calls if one[1] is None]

        def get(self, call: Any) -> bool:
            return bool(call[1])

    def actors(**restarted: bool | None) -> _Actors:
        def actor(name: str, told: bool | None) -> Any:
            return SimpleNamespace(restarted=SimpleNamespace(remote=lambda: (name, told)))

        return _Actors(Ray(), _started={name: (name, actor(name, told)) for name, told in restarted.items()})

    with pytest.warns(InspectWarning, match="a Ray model died; what it had was asked again"):
        actors(model=True, worker=False).report()
    with pytest.warns(InspectWarning, match="a Ray worker died"):
        actors(worker=None).report()
    actors(worker=False).report()
