"""Does the choice stay where the options change places? Multiple-choice questions, asked again in another order.

as is      A: scratch   B: dent      C: none
moved on   A: none      B: scratch   C: dent
reversed   A: none      B: dent      C: scratch

What counts is the option's text, not its letter. A model that likes a letter moves.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from converters.errors import ConversionError
from evaluation.engine.choices import read_choice
from evaluation.engine.examiner import Examiner
from evaluation.errors import RunError
from evaluation.prompt_tests.probing import Probe, Prober, ProbeResult, Watch, put, total_spent
from evaluation.runs.plan import Task
from evaluation.runs.record import Spent
from evaluation.runs.results import OptionOrderDocument
from vlm_inspect.backends.backend import Reply
from vlm_inspect.calibration.intervals import overkill_interval
from vlm_inspect.datasets.question import Question
from vlm_inspect.errors import ParseError

ORDERS = ("as is", "again", "moved on", "reversed")


@dataclass(frozen=True)
class OptionMoves:
    """How often one order moved the choice, over the questions that were answered both ways."""

    order: str
    questions: int
    moved: int
    right: int
    """Right choices in this order."""
    right_as_is: int
    unread: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the share that moves; None without a question."""
        return overkill_interval(self.moved, self.questions) if self.questions else None


@dataclass(frozen=True)
class OptionOrder:
    """What came of it."""

    model: str
    questions: int
    moves: tuple[OptionMoves, ...]
    chosen_letters: dict[str, int]
    """How often each letter was chosen, over all orders."""
    right_letters: dict[str, int]
    """How often each letter was right, over the same."""
    requests: int
    spent: Spent
    """By whoever paid for it."""

    def warnings(self) -> list[str]:
        """Return what a reader must know, one sentence each."""
        again = next(one for one in self.moves if one.order == "again")
        found = []
        if again.moved:
            found.append(
                f"The model contradicts itself on {again.moved} of {again.questions} questions when asked the very "
                "same again: moves no more frequent than that tell nothing."
            )
        found += [
            f"Options in another order ({one.order}) moved the choice on {one.moved} of {one.questions} questions, "
            "though they should not."
            for one in self.moves
            if one.order != "again" and one.moved > again.moved
        ]
        return found

    def as_document(self) -> OptionOrderDocument:
        """Return it as what `--json` writes."""
        rows = [{**vars(one), "interval": one.interval} for one in self.moves]
        told = {**vars(self), "moves": rows, "spent": self.spent.model_dump(), "warnings": self.warnings()}
        return OptionOrderDocument.model_validate(told)


def reordered(question: Question, order: str) -> Question:
    """Return the question with its options under other letters; the right answer goes with its text."""
    letters, texts = zip(*question.options, strict=True)
    places = list(range(len(texts)))
    if order == "moved on":
        places = [places[-1], *places[:-1]]
    elif order == "reversed":
        places = places[::-1]
    old = letters.index(question.answer)
    options = tuple((letter, texts[place]) for letter, place in zip(letters, places, strict=True))
    return replace(question, options=options, answer=letters[places.index(old)])


async def run_option_order(
    tasks: Sequence[Task], examiner: Examiner, prober: Prober, *, watch: Watch = lambda done, of: None
) -> OptionOrder:
    """Ask every question in every order.

    Args:
        tasks: of a plan that asks questions.
        examiner: makes the requests.
        prober: asks, within its limits.
        watch: told after each question.

    Raises:
        RunError: no task asks a question, or none was answered.
        RunStoppedError: a limit was reached.
        InspectError: references or prompt cannot be used.
    """
    asked = [task for task in tasks if task.question is not None]
    if not asked:
        raise RunError("the data set asks no questions; option-order is for multiple choice, such as MMAD")
    answers = await put(prober, asked, lambda task: _probes_of(examiner, task), watch)
    told = [_by_order(task, given) for task, given in zip(asked, answers, strict=True)]
    if not any(one["as is"][1] for one in told):
        raise RunError("no question was answered, so that nothing can be told; ask one with bench to see why")
    both = [pair for one in told for pair in one.values() if pair[1] is not None]
    return OptionOrder(
        model=examiner.backend.name,
        questions=len(asked),
        moves=tuple(_count(order, told) for order in ORDERS[1:]),
        chosen_letters=_sorted(Counter(str(letter) for _, letter in both)),
        right_letters=_sorted(Counter(question.answer for question, _ in both)),
        requests=sum(map(len, answers)),
        spent=total_spent([answer for given in answers for answer in given]),
    )


_Answers = dict[str, tuple[Question, str | None]]
"""Question as asked, and the letter that was chosen, by order."""


def _probes_of(examiner: Examiner, task: Task) -> list[Probe]:
    """Return the question in every order; none where its picture cannot be read."""
    assert task.question is not None
    probes = []
    for order in ORDERS:
        question = reordered(task.question, order)
        try:
            ready = examiner.prepare(replace(task, question=question))
        except ConversionError:
            return []
        read, salt = partial(_read, question), order if order == "again" else ""
        probes.append(Probe(f"{task.id}: {order}", ready.request, read, salt))
    return probes


def _read(question: Question, replies: Sequence[Reply]) -> ProbeResult:
    try:
        return ProbeResult(choice=read_choice(replies, question))
    except ParseError as error:
        return ProbeResult(failure=str(error))


def _by_order(task: Task, given: Sequence[ProbeResult]) -> _Answers:
    assert task.question is not None
    choices = [one.choice for one in given] or [None] * len(ORDERS)
    return {order: (reordered(task.question, order), choice) for order, choice in zip(ORDERS, choices, strict=True)}


def _count(order: str, told: Sequence[_Answers]) -> OptionMoves:
    pairs = [(answers["as is"], answers[order]) for answers in told]
    read = [pair for pair in pairs if pair[0][1] is not None and pair[1][1] is not None]
    return OptionMoves(
        order=order,
        questions=len(read),
        moved=sum(_text(before) != _text(after) for before, after in read),
        right=sum(after[1] == after[0].answer for _, after in read),
        right_as_is=sum(before[1] == before[0].answer for before, _ in read),
        unread=len(pairs) - len(read),
    )


def _text(answer: tuple[Question, str | None]) -> str | None:
    return dict(answer[0].options).get(answer[1] or "")


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return {letter: counts[letter] for letter in sorted(counts)}
