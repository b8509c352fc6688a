"""What a question means where the part is a sensor curve: "how long" asks for seconds, and a channel may be named."""

from collections.abc import Iterator
from dataclasses import replace

from converters.series_plot import PlotOrigin
from vlm_inspect.answers.language import Language, Topic
from vlm_inspect.answers.questions import Question
from vlm_inspect.answers.record import PartRecord
from vlm_inspect.measurement.registry import MEASURES

_OF_STATE: frozenset[Topic] = frozenset({"ship", "verdict", "why", "what", "where", "size", "count"})
"""Topics beside which a channel's name asks whether something is wrong in it."""


def is_curve(record: PartRecord) -> bool:
    """Return whether a part is a sensor curve."""
    return any(isinstance(view.origin, PlotOrigin) for view in record.views)


def of_curve(question: Question, record: PartRecord) -> Question:
    """Return a question as it is meant of a curve: lengths are those of its places, in seconds or samples."""
    asked = {row.measurement.measure for row in record.rows if row.measurement is not None}
    measures = tuple(one for one in question.measures if "series" in MEASURES[one].kinds or one in asked)
    topics = list(question.topics)
    if "length" in question.measures and "length" not in measures:
        topics += [] if "size" in topics else ["size"]
    if not measures and not asked and "size" in topics:  # "how long is the deviation": none is asked for in a rule
        topics = [one for one in topics if one != "measure"]
    return replace(question, measures=measures, topics=tuple(topics), is_understood=bool(topics))


def tell_quiet_channels(question: Question, record: PartRecord, language: Language) -> Iterator[str]:
    """Say of each channel that a question names, and no event does, that none was found in it.

    Nothing is said where the curve was not compared as a whole.
    """
    evidence = record.evidence
    compared = evidence.reference_count > 1 and not evidence.mismatch
    if not compared or (evidence.sample_curve is None and record.inspection is None):
        return
    if not set(question.topics) & _OF_STATE:
        return
    unusual = {name for event in record.curve_events for name in event.channels}
    panels = [panel for view in record.views if isinstance(view.origin, PlotOrigin) for panel in view.origin.panels]
    for name in dict.fromkeys(panel.name for panel in panels):
        if name and name not in unusual and question.speaks_of(name):
            yield language.say("no_event", channel=name)


def tell_measurable(language: Language) -> Iterator[str]:
    """Say what a rule can measure of a curve."""
    names = (name for name, one in MEASURES.items() if "series" in one.kinds)
    yield language.say("may_measure", measures=", ".join(map(language.put, names)))
