"""What `bench --dry-run` says: what was found, what would be asked and go wrong, before a token is spent."""

from collections import Counter
from collections.abc import Iterator

from evaluation.runs.plan import RunPlan
from evaluation.runs.settings import Limits, Settings
from vlm_inspect.datasets.summary import CategorySummary, DatasetSummary

MOST_PROBLEMS = 20


def describe_run(
    summary: DatasetSummary, plan: RunPlan, settings: Settings, limits: Limits, *, rule_test_parts: int | None = None
) -> str:
    """Return it as lines of text.

    Args:
        summary: what was found.
        plan: what would be asked.
        settings: what the results would rest on.
        limits: how it would be carried out.
        rule_test_parts: most parts a class that are asked about again afterwards; None: no rule test.
    """
    asked = [*_asked(plan, settings, limits)]
    if rule_test_parts is not None:
        asked.append(f"rule test afterwards, on at most {rule_test_parts} {_what(plan)} a class, several requests each")
    return "\n".join([*_found(summary, plan), *asked, *_wrong(summary)])


def describe_data(summary: DatasetSummary) -> str:
    """Return what was found, as lines of text, for a run that cannot be planned."""
    return "\n".join([*_found(summary, None), *_wrong(summary)])


def _found(summary: DatasetSummary, plan: RunPlan | None) -> Iterator[str]:
    yield f"{summary.name}: format {summary.format}, {len(summary.categories)} classes, {summary.root}"
    if summary.note:
        yield summary.note
    for one in summary.categories:
        yield f"  {one.name}: {', '.join(_counts(one, plan))}"


def _counts(one: CategorySummary, plan: RunPlan | None) -> Iterator[str]:
    yield f"{one.train} train"
    if one.validation:
        yield f"{one.validation} validation"
    yield f"{one.test_normal} normal and {one.test_anomalous} anomalous to score"
    if one.unlabelled:
        yield f"{one.unlabelled} without label (not scored)"
    if one.questions:
        yield f"{one.questions} questions"
    yield f"{one.masks} masks" if one.masks else "no masks"
    if one.defects:
        yield "defects " + " ".join(f"{name} ({count})" for name, count in one.defects)
    chosen = () if plan is None else plan.references.get(one.name, ())
    if chosen:
        yield "references " + " ".join(item.id for item in chosen)
    elif one.own_references:
        yield f"{one.own_references} items bring their own references"
    elif plan is not None:
        yield "no references"
    if plan is not None:
        yield "with a rule book" if one.name in plan.with_rules else "no rule book"


def _asked(plan: RunPlan, settings: Settings, limits: Limits) -> Iterator[str]:
    at_most = f", at most {settings.limit} items a class" if settings.limit is not None else ""
    twice = ", twice each" if settings.look_again else _steps(settings) or _windows(plan, settings)
    yield f"would ask {settings.model} about {len(plan.tasks)} {_what(plan)}{at_most}{twice}"
    yield (
        f"localizer {settings.localizer}, {settings.shots} references, seed {settings.seed}, "
        f"template {settings.template}, {settings.samples} answers each, {limits.concurrency} at once"
    )
    yield "leak check: no reference is scored"


def _steps(settings: Settings) -> str:
    agent = None if settings.inspector is None else settings.inspector.agent
    return f", in at most {agent.max_steps} steps each" if agent is not None and agent.enabled else ""


def _windows(plan: RunPlan, settings: Settings) -> str:
    windows = None if settings.inspector is None else settings.inspector.windows
    if windows is None or windows.most < 2 or all(task.item.kind != "video" for task in plan.tasks):
        return ""
    return f", a clip longer than {2 * windows.length_s:g} s in at most {windows.most} requests"


def _what(plan: RunPlan) -> str:
    return "questions" if plan.asks_questions else "items"


def _wrong(summary: DatasetSummary) -> Iterator[str]:
    if not summary.problems:
        yield "no problems"
        return
    counted = Counter(problem.kind for problem in summary.problems)
    yield "problems: " + ", ".join(f"{count} x {kind}" for kind, count in sorted(counted.items()))
    for problem in summary.problems[:MOST_PROBLEMS]:
        yield f"  {problem.message}"
    if len(summary.problems) > MOST_PROBLEMS:
        yield f"  and {len(summary.problems) - MOST_PROBLEMS} more"
