"""Records are JSON and back: whatever was measured or said comes back the same."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from vlm_inspect.backends.backend import Reply, TokenProbability
from vlm_inspect.evidence import Evidence, Measurement, ReferenceMatch, Region
from vlm_inspect.inspection import Usage
from vlm_inspect.store.files import Bundle, FileFolder
from vlm_inspect.store.records import (
    REPLIES,
    EvidenceEntry,
    OpinionEntry,
    pack_evidence,
    pack_opinion,
    to_json,
    unpack_evidence,
    unpack_opinion,
)
from vlm_inspect.verdict import Verdict

FILES = FileFolder(Path("no such folder"), wait_s=0.0)
REGIONS = st.builds(Region, match=st.none() | st.builds(ReferenceMatch))
USAGE = st.builds(Usage, prompt_tokens=st.integers(0, 10**9), latency_s=st.floats(0, 1e6), cost_usd=st.none())


def same(one: object, other: object) -> bool:
    """Whether two records are equal; NaN, which is not equal to itself, included."""
    return repr(one) == repr(other)


@settings(max_examples=40, deadline=None)
@given(st.lists(REGIONS, max_size=3), st.lists(st.builds(Measurement), max_size=3), st.lists(st.text(), max_size=2))
def test_regions_and_measurements(regions: list[Region], measurements: list[Measurement], notes: list[str]) -> None:
    before = Evidence((), tuple(regions), tuple(measurements), 3, "memory", tuple(notes))
    text = to_json(pack_evidence(before, Bundle()))
    assert text.isascii(), "a database that knows no other letters keeps it, too"
    assert same(unpack_evidence(EvidenceEntry.model_validate_json(text), FILES), before)


@settings(max_examples=40, deadline=None)
@given(st.builds(Verdict))
def test_verdicts(verdict: Verdict) -> None:
    assert same(unpack_opinion(OpinionEntry.model_validate_json(to_json(pack_opinion(verdict)))), verdict)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.builds(Reply, tokens=st.tuples(st.builds(TokenProbability)), usage=USAGE), max_size=2))
def test_replies(replies: list[Reply]) -> None:
    assert same(REPLIES.validate_json(to_json(replies)), tuple(replies))
