"""`bench --rule-test`: whether the model of a run follows its rules, on some of the items that were just scored.

What a part is asked as it is was asked by the run itself, and comes from the cache. Answers go to the run's journal, so
that a kill costs those in flight; the budget is the run's. The first look alone is tested.
"""

import asyncio
from collections.abc import Mapping, Sequence

from evaluation.engine.asking import Asker
from evaluation.engine.examiner import Examiner
from evaluation.engine.journal import Journal
from evaluation.engine.reply_cache import ReplyCache
from evaluation.engine.spending import Spending
from evaluation.errors import RunError
from evaluation.prompt_tests.answer_changes import RuleTest
from evaluation.prompt_tests.option_order import run_option_order
from evaluation.prompt_tests.probing import Prober, Watch, kept_answers
from evaluation.prompt_tests.rule_test import run_rule_test
from evaluation.runs.plan import RunPlan, Task, sample_tasks
from evaluation.runs.record import ItemRecord
from evaluation.runs.results import PromptTests, RuleTestDocument
from evaluation.runs.settings import Limits


def run_prompt_tests(
    plan: RunPlan,
    examiner: Examiner,
    journal: Journal,
    cache: ReplyCache,
    limits: Limits,
    *,
    parts: int,
    watch: Watch = lambda done, of: None,
) -> PromptTests:
    """Return what `results.json` holds of it: of classes, or of questions with their options in other orders.

    Args:
        plan: of the run, which is done.
        examiner: the one of the run.
        journal: with the records of all tasks.
        cache: with the replies of the run, if it kept any.
        limits: those of the run.
        parts: most parts, or questions, a class.
        watch: told how many parts of a class are done.

    Raises:
        RunStoppedError: a limit was reached; --resume --rule-test goes on.
        InspectError: as in the run.
    """
    records = journal.records()
    spending = Spending(limits, records.values())
    for answer in kept_answers(journal):
        spending.add_spent(answer.usage)
    asker = Asker(
        backend=examiner.backend,
        limits=limits,
        cache=cache,
        samples=examiner.samples,
        price=examiner.price,
        run_id=f"{journal.run_id} probes",
        spending=spending,
        standing=lambda: "the items done and the rule test not; --resume with a higher --budget-usd goes on",
    )
    try:
        return asyncio.run(_run_prompt_tests(plan, examiner, Prober(asker, journal), records, parts, watch))
    finally:
        asker.close()


async def _run_prompt_tests(
    plan: RunPlan, examiner: Examiner, prober: Prober, records: Mapping[str, ItemRecord], parts: int, watch: Watch
) -> PromptTests:
    chosen = {one.name: _readable(sample_tasks(plan.of_category(one.name), parts), records) for one in plan.categories}
    if plan.asks_questions:
        tasks = [task for group in chosen.values() for task in group]
        order = await run_option_order(tasks, examiner, prober, watch=watch)
        return PromptTests(option_order=order.as_document())
    classes: dict[str, RuleTestDocument] = {}
    untested: dict[str, str] = {}
    for name, tasks in chosen.items():
        if not tasks:
            untested[name] = "none of its parts could be read"
            continue
        try:
            test = await _test(tasks, examiner, prober, watch)
        except RunError as error:
            if prober.asker.stopped is not None:
                raise
            untested[name] = str(error)
            continue
        classes[name] = test.as_document()
    return PromptTests(classes=classes, untested=untested)


async def _test(tasks: Sequence[Task], examiner: Examiner, prober: Prober, watch: Watch) -> RuleTest:
    """Test one class, each part with the references that it was judged with."""
    by_id = {task.id: task for task in tasks}
    paths = {task.id: task.item.path for task in tasks}
    first = examiner.inspector_of(tasks[0])
    return await run_rule_test(
        first, paths, prober, inspector_of=lambda name: examiner.inspector_of(by_id[name]), watch=watch
    )


def _readable(tasks: Sequence[Task], records: Mapping[str, ItemRecord]) -> list[Task]:
    failures = {task.id: records[task.id].failure for task in tasks}
    return [task for task in tasks if (failure := failures[task.id]) is None or failure.kind != "unreadable"]
