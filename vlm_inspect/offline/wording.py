"""The sentences of the `evidence` model, from `prompts/words/evidence_report.yaml`, and what fills them."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from converters.view import Place
from vlm_inspect.decision.thresholds import Thresholds
from vlm_inspect.errors import PromptError
from vlm_inspect.evidence import Evidence, Measurement, Region
from vlm_inspect.rules import Rule
from vlm_inspect.significant_digits import probability_words, rounded

Level = Literal["within", "place", "between", "exceeded", "unknown"]
"""How a part stands to its bounds: inside that of OK, so but for a place, below that of NG, over it; not known."""


class Wording(BaseModel):
    """All sentences by group and name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    identity: str
    verdicts: Mapping[str, str]
    references: Mapping[str, str]
    checks: Mapping[str, str]
    text_rules: Mapping[str, str]
    regions: Mapping[str, str]
    places: Mapping[str, str]

    def say(self, group: str, name: str, **values: Any) -> str:
        """Return one sentence, filled in.

        Raises:
            PromptError: there is no such sentence, or it names a value that it does not get.
        """
        try:
            sentence: str = getattr(self, group)[name]
            return sentence.format(**values)
        except (KeyError, IndexError, ValueError) as error:
            raise PromptError(f"evidence_report.yaml: {group}.{name}: missing or unknown name {error}") from error

    def verdict(self, evidence: Evidence, thresholds: Thresholds | None = None) -> str:
        """Say how the part stands to the bounds that decide; without thresholds, to those of its references."""
        if evidence.status == "unknown":
            if is_without_heatmap(evidence):
                if evidence.measurements:
                    return self.say("verdicts", "measured_only")
                return self.say("verdicts", "unlooked" if evidence.reference_count else "no_reference")
            if evidence.mismatch and not evidence.maps:
                return self.say("verdicts", "not_compared")
            if not evidence.reference_count:
                return self.say("verdicts", "no_reference")
            return self.say("verdicts", "single" if is_by_one_reference(evidence) else "partial")
        return self.say(
            "verdicts",
            _name_of(evidence, thresholds),
            references=self.count_references(evidence),
            probability=probability_words(evidence.probability),
        )

    def count_references(self, evidence: Evidence) -> str:
        """Say how many references there are."""
        count = evidence.reference_count
        return self.say("references", "one" if count == 1 else "many", count=count)

    def check(self, rule: Rule, measurement: Measurement | None) -> str:
        """Say what was measured for a rule, and whether it is within its limits."""
        if measurement is None:
            return self.say("checks", "cannot_tell", id=rule.id, measured=self.say("checks", "not_measured"))
        value = (
            ""
            if measurement.value is None
            else f"{measurement.measure} {rounded(measurement.value, 4)} {measurement.unit}"
        )
        passed = measurement.passed
        name = "cannot_tell" if passed is None else "pass" if passed else "fail"
        measured = value.strip() if passed else measurement.reason.rstrip(".") or value.strip()
        return self.say("checks", name, id=rule.id, measured=measured)

    def text_rule(self, name: str, evidence: Evidence, **values: str) -> str:
        """Say why a rule in words passes, fails or cannot be told."""
        return self.say("text_rules", name, references=self.count_references(evidence), **values)

    def either(self, words: Sequence[str]) -> str:
        """Say that something is one of several."""
        if len(words) == 1:
            return words[0]
        return self.say("regions", "either", words=", ".join(words[:-1]), last=words[-1])

    def place(self, region: Region, label: str, unit: str) -> str:
        """Say where a region lies: on the view, and on the part as far as that is known."""
        x0, y0, x1, y1 = region.box_xyxyn
        percent_x, percent_y = round(50 * (x0 + x1)), round(50 * (y0 + y1))
        said = self.say("places", "view", view=region.view, label=label, percent_x=percent_x, percent_y=percent_y)
        place = region.place
        if place.channel is not None:
            return self._place_on_plot(place, region.view)
        if place.point_mm is not None:
            x, y, z = (f"{value:.1f}" for value in place.point_mm)
            said += self.say("places", "point", x=x, y=y, z=z, unit=unit)
        if place.time_s is not None:
            said += self.say("places", "time", time=f"{place.time_s:.2f}")
        if place.frame is not None:
            said += self.say("places", "frame", frame=place.frame)
        return said + (self.say("places", "page", page=place.page + 1) if place.page else "")

    def _place_on_plot(self, place: Place, view: int) -> str:
        """Say the moment and the channel: that is where the place lies, whatever the plot."""
        if place.time_s is None:
            return self.say("places", "plot_sample", sample=place.sample, channel=place.channel, view=view)
        return self.say("places", "plot_time", time=rounded(place.time_s, 5), channel=place.channel, view=view)

    def views(self, numbers: Sequence[int]) -> str:
        """Name several views, or one."""
        told = ", ".join(map(str, numbers))
        return self.say("places", "one_view" if len(numbers) == 1 else "many_views", views=told)

    def size(self, region: Region, unit: str) -> str:
        """Say how large a region is on the part, or nothing where that is not known."""
        size = region.place.size_mm
        return "" if size is None else self.say("places", "size", size=f"{size:.2g}", unit=unit)

    def hottest(self, region: Region, place: str, unit: str) -> str:
        """Say where the hottest place lies, of a part that no place decides."""
        note = self.say("places", "note", note=region.note.rstrip(".")) if region.note else ""
        name = "hottest" if region.calibrated else "hottest_unsure"
        score = probability_words(region.score)
        return self.say("regions", name, place=place, size=self.size(region, unit), score=score, note=note)

    def region(self, region: Region, word: str, place: str, unit: str) -> str:
        """Say what a region is, where, how large and how sure."""
        note = self.say("places", "note", note=region.note.rstrip(".")) if region.note else ""
        name = "hot" if region.calibrated else "suspicious" if region.defect_type else "unusual"
        return self.say(
            "regions",
            name,
            defect=word[:1].upper() + word[1:] if name == "hot" else word,
            place=place,
            size=self.size(region, unit),
            score=probability_words(region.score),
            note=note,
        )


def level_of(evidence: Evidence, thresholds: Thresholds | None) -> Level:
    """Return how a part stands to the bounds that decide.

    Args:
        evidence: what was measured.
        thresholds: those that decide; None: not known, and the references' own bounds count.
    """
    status, score = evidence.status, evidence.probability
    if status == "unknown" or score is None:
        return "unknown"
    if status == "exceeded":
        return "exceeded"
    if thresholds is not None and (thresholds.calibrated or evidence.standing is None):
        if score >= thresholds.ng_above:
            return "exceeded"
        if score > thresholds.ok_below:
            return "between"
    elif evidence.standing is not None and evidence.standing.outcome == "REVIEW":
        return "between"
    return "place" if evidence.has_hot_place else "within"


def can_none_be_ok(evidence: Evidence, thresholds: Thresholds | None) -> bool:
    """Tell whether no part of the class can be OK by its score, however much it is like the references."""
    if thresholds is not None and thresholds.calibrated:
        return thresholds.leave_no_ok
    return evidence.standing is not None and evidence.standing.ok_below is None


def is_without_heatmap(evidence: Evidence) -> bool:
    """Tell whether no heatmap was asked for."""
    return evidence.localizer == "none" and not evidence.maps and not evidence.mismatch


def is_by_one_reference(evidence: Evidence) -> bool:
    """Tell whether all of a part was compared, but with a single reference, which sets no tolerance."""
    return evidence.reference_count == 1 and not evidence.incomplete


def _name_of(evidence: Evidence, thresholds: Thresholds | None) -> str:
    """Return the name of the sentence for a part that could be compared."""
    level = level_of(evidence, thresholds)
    if thresholds is None or not thresholds.calibrated:
        return "near" if level == "between" and evidence.standing is None else level
    if evidence.status == "exceeded" and (evidence.probability or 0.0) < thresholds.ng_above:
        return level
    return f"{level}_calibrated"


@cache
def load_wording() -> Wording:
    """Read the sentences that come with the program.

    Raises:
        PromptError: the file is missing or wrong.
    """
    from vlm_inspect.prompt_files import prompt_folder

    return read_wording(prompt_folder() / "words" / "evidence_report.yaml")


def read_wording(path: Path) -> Wording:
    """Read the sentences of one file.

    Raises:
        PromptError: the file is missing or wrong.
    """
    try:
        return Wording.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "top level"
        raise PromptError(f"{path.name}: {place}: {first['msg']}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PromptError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
