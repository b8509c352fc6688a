"""`prepare_bench`: a run put together and checked, from the data set and the options; nothing is asked."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evaluation.engine.examiner import Examiner
from evaluation.engine.options import limits_of
from evaluation.errors import RunError
from evaluation.runs.plan import Plan, check_checkpoint, check_leaks, load_rule_books, make_plan
from evaluation.runs.settings import Limits, Price, Settings
from vlm_inspect.backends import is_offline
from vlm_inspect.backends.backend import Backend
from vlm_inspect.calibration.file import load_calibration
from vlm_inspect.datasets.item import Dataset
from vlm_inspect.datasets.references import content_sha256
from vlm_inspect.decision.thresholds import Thresholds
from vlm_inspect.inspector import ANY_PART, Inspector
from vlm_inspect.localization.localizer import Localizer
from vlm_inspect.prompting import PromptLimits


@dataclass(frozen=True, eq=False)
class Bench:
    """A run, put together and checked, before anything is asked."""

    plan: Plan
    settings: Settings
    limits: Limits
    backend: Backend
    localizer: Localizer | None
    thresholds: Mapping[str, Thresholds]
    checks: Mapping[str, Any]
    prompt_limits: PromptLimits
    own_price: Price | None
    inspector_options: Mapping[str, Any]
    """What model and localizer were made of."""

    @property
    def examiner(self) -> Examiner:
        """What does the work of one task."""
        return Examiner(
            backend=self.backend,
            localizer=self.localizer,
            rules=self.plan.rules,
            thresholds=self.thresholds,
            template=self.settings.template,
            samples=self.settings.samples,
            look_again=self.settings.look_again,
            limits=self.prompt_limits,
            price=self.own_price,
        )


def prepare_bench(dataset: Dataset, options: Mapping[str, Any]) -> Bench:
    """Check everything that can be wrong with a run; asks nothing.

    Raises:
        InspectError: see `run_bench`.
    """
    from vlm_inspect.commands.inspecting import make_inspector

    _check_engine(options)
    names = [category.name for category in dataset.categories]
    books = load_rule_books(options["rules_dir"], names) if options["rules_dir"] else {}
    if options["retry_failed"] and not options["resume"]:
        raise RunError("--retry-failed belongs to --resume")
    plan = make_plan(
        dataset,
        shots=options["shots"],
        seed=options["seed"],
        limit=options["limit"],
        rules=books,
        ask_questions=_asks(dataset, options["model"]),
    )
    if options.get("look_again"):
        _check_second_look(plan, options["model"])
    if options.get("rule_test") and is_offline(options["model"]):
        raise RunError("--rule-test: the model evidence reads no rules, so that there is nothing to test; leave it out")
    checks: dict[str, Any] = {"references_compared_with_scored_files": check_leaks(plan), "leaks": 0}
    if options["checkpoint"]:
        trained_on, words = check_checkpoint(plan, options["checkpoint"], force=options["force"])
        checks["scored_pictures_trained_on"] = trained_on
        plan = replace(plan, folder_words=words)
    given = _inspector_options(plan, options)
    inspector = make_inspector(given)
    limits = limits_of(options, inspector.backend)
    eyes = inspector.eyes
    thresholds = _thresholds(plan, options["calibration_path"], "none" if eyes is None else eyes.name)
    settings = _settings(plan, options, inspector)
    return Bench(
        plan, settings, limits, inspector.backend, eyes, thresholds, checks, inspector.limits, options["price"], given
    )


def _asks(dataset: Dataset, model: str) -> bool:
    """Return whether the questions are asked: `evidence` has no language to answer them and judges the images."""
    return bool(dataset.questions) and not is_offline(model)


def _inspector_options(plan: Plan, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of an inspector with the model and the localizer of all classes."""
    from vlm_inspect.localization import AUTO, default_localizer

    name = options["localizer"]
    if name == AUTO:
        name = default_localizer(has_references=any(task.references for task in plan.tasks))
    if plan.asks_questions:
        name = "none"  # the question is asked as it stands, without evidence
    alone = {"rules_path": None, "references": (), "calibration_path": None, "localizer": name}
    return {**options, **alone}


def _check_second_look(plan: Plan, model: str) -> None:
    """Refuse a second look where nobody looks."""
    if plan.asks_questions:
        raise RunError("--look-again is for judging parts, and this data set asks questions; leave it out")
    if is_offline(model):
        raise RunError("--look-again changes nothing for the model evidence, which reads no picture; leave it out")


def _check_engine(options: Mapping[str, Any]) -> None:
    """Refuse an engine that is not installed, and an address that nothing reads."""
    from evaluation.engine.cluster.connection import check_installed

    if options.get("engine") == "ray":
        check_installed()
    elif options.get("ray_address"):
        raise RunError("--ray-address belongs to --engine ray")


def _settings(plan: Plan, options: Mapping[str, Any], inspector: Inspector) -> Settings:
    endpoint = getattr(inspector.backend, "endpoint", None)
    eyes, calibration = inspector.eyes, options["calibration_path"]
    return Settings(
        dataset=plan.dataset.name,
        format=plan.dataset.format,
        items_sha256=plan.items_sha256,
        categories=tuple(category.name for category in plan.categories),
        shots=options["shots"],
        seed=options["seed"],
        limit=options["limit"],
        model=inspector.backend.name,
        server=None if endpoint is None else endpoint.shown_url,
        samples=options["samples"],
        look_again=inspector.look_again,
        template="multiple_choice" if plan.asks_questions else options["template"],
        detail=inspector.limits.detail,
        dtype=options.get("dtype") or "auto",
        quantize=options.get("quantize"),
        localizer="none" if eyes is None else eyes.name,
        backbone=options["backbone"],
        clip=options["clip"],
        aupro_200=bool(options.get("aupro_200")),
        checkpoint_sha256=content_sha256(options["checkpoint"]) if options["checkpoint"] else None,
        rules_sha256={name: plan.rules[name].sha256 for name in sorted(plan.with_rules)},
        calibration_sha256={name: content_sha256(path) for name, path in _calibration_files(plan, calibration).items()},
    )


def _calibration_files(plan: Plan, path: Path | None) -> dict[str, Path]:
    """Return the calibration file of each class that has one.

    Raises:
        RunError: one file for several classes, or a folder with none for these.
    """
    names = [category.name for category in plan.categories]
    if path is None:
        return {}
    if not path.is_dir():
        if len(names) > 1:
            raise RunError(
                f"--calibration {path} holds for one class, and {len(names)} are scored; name a folder of CLASS.json "
                "files, or one --category"
            )
        return {names[0]: path}
    found = {name: path / f"{name.replace('/', '_')}.json" for name in names}
    found = {name: file for name, file in found.items() if file.is_file()}
    if not found:
        raise RunError(f"--calibration {path} has no CLASS.json for {', '.join(names[:3])}")
    return found


def _thresholds(plan: Plan, path: Path | None, localizer: str) -> dict[str, Thresholds]:
    """Return the thresholds of the classes that have a calibration.

    A class without a rule book takes one that was made without.

    Raises:
        CalibrationError: a file was made for another rule book or localizer.
    """
    found = {}
    for name, file in _calibration_files(plan, path).items():
        book = plan.rules[name] if name in plan.with_rules else ANY_PART
        found[name] = load_calibration(file, rules_sha256=book.sha256, localizer=localizer).thresholds
    return found
