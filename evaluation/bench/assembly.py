"""`prepare_bench`: a run put together and checked, from the data set and the options; nothing is asked."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from converters.detection import detect_kind
from converters.digest import sha256_of
from converters.errors import ConversionError
from converters.view import ViewBudget
from evaluation.bench.options import BenchOptions
from evaluation.engine.examiner import Examiner
from evaluation.engine.one_at_a_time import for_threads
from evaluation.engine.options import limits_of
from evaluation.errors import RunError
from evaluation.runs.plan import RunPlan, check_checkpoint, check_leaks, load_rule_books, make_plan
from evaluation.runs.settings import Limits, Price, Settings
from vlm_inspect.calibration_file import load_calibration
from vlm_inspect.clip_beginning import NormalSpan
from vlm_inspect.config import InspectorConfig
from vlm_inspect.datasets.item import Dataset
from vlm_inspect.datasets.references import content_sha256
from vlm_inspect.decision.thresholds import Thresholds
from vlm_inspect.inspector import ANY_PART, Inspector
from vlm_inspect.localization import AUTO, default_localizer
from vlm_inspect.scoring_version import scoring_version


@dataclass(frozen=True, eq=False)
class Bench:
    """A run, put together and checked, before anything is asked."""

    plan: RunPlan
    settings: Settings
    limits: Limits
    inspector: Inspector
    """With the model and the localizer of all classes."""
    thresholds: Mapping[str, Thresholds]
    checks: Mapping[str, Any]
    own_price: Price | None
    config: InspectorConfig
    """What the inspector was made of."""

    @property
    def examiner(self) -> Examiner:
        """What does the work of one task."""
        return Examiner(
            for_threads(self.inspector), self.plan.rules, self.thresholds, self.own_price, self.limits.figures
        )


def prepare_bench(dataset: Dataset, options: BenchOptions) -> Bench:
    """Check everything that can be wrong with a run; asks nothing.

    Raises:
        InspectError: see `run_bench`.
    """
    _check_engine(options)
    _check_config(options.config)
    names = [category.name for category in dataset.categories]
    books = load_rule_books(options.rules_dir, names) if options.rules_dir else {}
    if options.retry_failed and not options.resume:
        raise RunError("--retry-failed requires --resume")
    plan = make_plan(
        dataset,
        shots=options.shots,
        seed=options.seed,
        limit=options.limit,
        rules=books,
        ask_questions=bool(dataset.questions) and options.config.asks_a_model,
    )
    if options.config.normal_until is not None:
        _check_beginnings(plan, NormalSpan.parse(options.config.normal_until))
    if options.config.look_again or options.config.agent.enabled:
        _check_further_looks(plan, options)
    if options.rule_test and not options.config.asks_a_model:
        raise RunError("--rule-test: the model evidence reads no rules, so there is nothing to test; leave it out")
    checks: dict[str, Any] = {"references_compared_with_scored_files": check_leaks(plan), "leaks": 0}
    if options.config.localizer.checkpoint is not None:
        checkpoint = options.config.localizer.checkpoint
        trained_on, words = check_checkpoint(plan, checkpoint, force=options.force)
        checks["scored_pictures_trained_on"] = trained_on
        plan = replace(plan, folder_words=words)
    config = _for_all_classes(plan, options.config)
    inspector = config.build()
    limits = replace(
        limits_of(options.asking, inspector.backend),
        max_failures=options.max_failures,
        keep_maps=options.keep_maps,
        figures=options.figures,
        engine=options.engine,
    )
    localizer = inspector.used_localizer
    return Bench(
        plan=plan,
        settings=_settings(plan, options, config, inspector),
        limits=limits,
        inspector=inspector,
        thresholds=_thresholds(
            plan, options.config.calibration, "none" if localizer is None else localizer.name, inspector.budget
        ),
        checks=checks,
        own_price=options.asking.price,
        config=config,
    )


def _check_beginnings(plan: RunPlan, span: NormalSpan) -> None:
    """Refuse a beginning that a clip cannot have, before anything is written."""
    for task in plan.tasks:
        with suppress(ConversionError):  # what cannot be opened fails as an item, which its record says
            span.check_before_reading(task.item.path, task.item.kind or detect_kind(task.item.path))


def _for_all_classes(plan: RunPlan, config: InspectorConfig) -> InspectorConfig:
    """Return the configuration of the model and the localizer of all classes."""
    name = config.localizer.name
    if name == AUTO:
        referenced = any(task.references for task in plan.tasks)
        alone = config.normal_until is not None and not referenced  # a clip's beginning needs no other localizer
        name = "none" if alone else default_localizer(has_references=referenced)
    if plan.asks_questions:
        name = "none"  # the question is asked as it stands, without evidence
    return config.with_changes(calibration=None, localizer={"name": name})


def _check_config(config: InspectorConfig) -> None:
    """Refuse what a run takes from elsewhere."""
    if config.rules is not None or config.references:
        raise RunError(
            "bench takes rule books from --rules-dir and references from the data; leave both out of --config"
        )


def _check_further_looks(plan: RunPlan, options: BenchOptions) -> None:
    """Refuse a second look, or steps, where nobody looks."""
    config = options.config
    name = "--agent" if config.agent.enabled else "--look-again"
    if plan.asks_questions:
        raise RunError(f"{name} is for judging parts, and this data set asks questions; leave it out")
    if not config.asks_a_model:
        raise RunError(f"{name} changes nothing for the model evidence, which reads no picture; leave it out")
    if config.agent.enabled and options.rule_test:
        raise RunError("--rule-test asks about a part in one look; leave --agent out, or run it by itself")
    if config.refuter is not None and options.asking.price is not None:
        raise RunError("--price holds for one model, and --refuter is another; leave one of them out")


def _check_engine(options: BenchOptions) -> None:
    """Refuse an engine that is not installed, and an address that nothing reads."""
    from evaluation.engine.cluster.connection import check_installed

    if options.engine == "ray":
        check_installed()
    elif options.ray_address:
        raise RunError("--ray-address requires --engine ray")


def _settings(plan: RunPlan, options: BenchOptions, config: InspectorConfig, inspector: Inspector) -> Settings:
    endpoint = getattr(inspector.backend, "endpoint", None)
    localizer, calibration = inspector.used_localizer, options.config.calibration
    checkpoint = config.localizer.checkpoint
    return Settings(
        dataset=plan.dataset.name,
        format=plan.dataset.format,
        items_sha256=plan.items_sha256,
        categories=tuple(category.name for category in plan.categories),
        shots=options.shots,
        seed=options.seed,
        limit=options.limit,
        model=inspector.backend.name,
        server=None if endpoint is None else endpoint.shown_url,
        samples=inspector.samples,
        look_again=inspector.look_again,
        template="multiple_choice" if plan.asks_questions else config.template,
        detail=inspector.limits.detail,
        dtype=config.model.dtype or "auto",
        quantize=config.model.quantize,
        localizer="none" if localizer is None else localizer.name,
        backbone=config.localizer.memory.backbone or "",
        clip=config.localizer.clip,
        scoring=scoring_version(),
        aupro_200=options.aupro_200,
        checkpoint_sha256=content_sha256(checkpoint) if checkpoint is not None else None,
        rules_sha256={name: plan.rules[name].sha256 for name in sorted(plan.with_rules)},
        calibration_sha256={name: content_sha256(path) for name, path in _calibration_files(plan, calibration).items()},
        inspector=config.without_secrets(),
    )


def _calibration_files(plan: RunPlan, path: Path | None) -> dict[str, Path]:
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


def _thresholds(plan: RunPlan, path: Path | None, localizer: str, views: ViewBudget) -> dict[str, Thresholds]:
    """Return the thresholds of the classes that have a calibration.

    A class without a rule book takes one that was made without.

    Raises:
        CalibrationError: a file was made for another rule book or localizer, or with other references or views.
    """
    found = {}
    for name, file in _calibration_files(plan, path).items():
        book = plan.rules[name] if name in plan.with_rules else ANY_PART
        for references in dict.fromkeys(task.references for task in plan.of_category(name)):
            loaded = load_calibration(
                file,
                rules_sha256=book.scoring_sha256,
                localizer=localizer,
                views=views,
                references_sha256=[sha256_of(reference) for reference in references],
            )
            found[name] = loaded.thresholds_for("", file)
    return found
