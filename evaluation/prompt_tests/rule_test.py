"""Does the model follow its rules? The same parts, asked again with one thing changed, and how often the answer moves.

    test = asyncio.run(run_rule_test(inspector, {"a.png": path}, Prober(asker)))
    test.as_document()

A model that reads its rules moves when one says the opposite; one that does not gives the same answer to anything.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from evaluation.errors import RunError
from evaluation.prompt_tests.answer_changes import RuleTest, count_moves
from evaluation.prompt_tests.probing import Probe, Prober, ProbeResult, Watch, put, total_spent
from evaluation.prompt_tests.rule_changes import AS_IS, Change, changed_request, free_rules, list_changes
from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.errors import ParseError
from vlm_inspect.inspector import Inspector
from vlm_inspect.parsing import parse_verdict
from vlm_inspect.prompting import load_template


async def run_rule_test(
    inspector: Inspector,
    parts: Mapping[str, Path],
    prober: Prober,
    *,
    inspector_of: Callable[[str], Inspector] | None = None,
    watch: Watch = lambda done, of: None,
) -> RuleTest:
    """Ask about every part as it is and with each change.

    Args:
        inspector: rules, references, model and template to test.
        parts: files of one class by name, best both normal and anomalous ones.
        prober: asks, within its limits.
        inspector_of: the inspector of a part, where parts bring their own references; None: `inspector` for all.
        watch: told how many parts are done.

    Raises:
        RunError: no part got a verdict.
        RunStoppedError: a limit was reached.
        ConversionError: a part cannot be read.
        InspectError: references, localizer or template cannot be used.
    """
    template = load_template(inspector.template)
    changes_of: dict[str, list[Change]] = {}

    def probes_of(name: str) -> list[Probe]:
        own = inspector if inspector_of is None else inspector_of(name)
        prepared = own.prepare(parts[name])
        changes_of[name] = changes = list_changes(own, prepared, template)
        return [_probe(name, change, changed_request(change, own, prepared, template)) for change in changes]

    answers = await put(prober, list(parts), probes_of, watch)
    by_part = {
        name: dict(zip(changes_of[name], given, strict=True)) for name, given in zip(parts, answers, strict=True)
    }
    told = {name: given for name, given in by_part.items() if given[AS_IS].anomalous is not None}
    left_out = tuple((name, given[AS_IS].failure) for name, given in by_part.items() if name not in told)
    if not told:
        reason = left_out[0][1] if left_out else "there is no part"
        raise RunError(f"no part got a verdict, so that nothing can be told: {reason}")
    changes = list(dict.fromkeys(change for given in told.values() for change in given if change != AS_IS))
    every = [answer for given in answers for answer in given]
    return RuleTest(
        model=inspector.backend.name,
        rules={rule.id: rule.text for rule in free_rules(inspector.rules)},
        parts=tuple(told),
        left_out=left_out,
        moves=tuple(count_moves(change, list(told.values())) for change in changes),
        requests=len(every),
        spent=total_spent(every),
    )


def _probe(name: str, change: Change, request: Request) -> Probe:
    words = f"{name}: {change.kind}" + (f" {change.rule}" if change.rule else "")
    return Probe(words, request, partial(_read, request), salt=change.kind if change.kind == "again" else "")


def _read(request: Request, replies: Sequence[Reply]) -> ProbeResult:
    try:
        verdict = parse_verdict(replies, request.rules, request.views, boxes=request.boxes)
    except ParseError as error:
        return ProbeResult(failure=str(error))
    return ProbeResult(verdict.anomalous, verdict.probability, {one.id: one.status for one in verdict.rules})
