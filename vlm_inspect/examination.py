"""`Prepared` and `Examination`: a part on its way to the model, and an inspection with all that it rests on."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.projection import ScanOrigin
from converters.view import View
from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.clip_windows import ClipWindow
from vlm_inspect.decision.fusion import Record, fuse
from vlm_inspect.decision.thresholds import Thresholds
from vlm_inspect.errors import ParseError
from vlm_inspect.evidence import AnomalyMap, Evidence
from vlm_inspect.fused_map import fuse_maps, named_places
from vlm_inspect.inspection import Inspection, Provenance
from vlm_inspect.looks.look import Look, deciding_look
from vlm_inspect.looks.windows import deciding, opinion_of
from vlm_inspect.point_values import values_at_points
from vlm_inspect.prompting import PromptLimits
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.source_state import State
from vlm_inspect.verdict import Verdict


@dataclass(frozen=True, eq=False)
class Prepared:
    """A part on its way to the model: what was measured, and what will be asked."""

    views: tuple[View, ...]
    evidence: Evidence
    request: Request
    """The first one."""
    provenance: Provenance
    elapsed_s: float
    """How long it took in seconds."""
    source: str = ""
    """Path of the part as it was given."""
    state: tuple[Path, State] | None = None
    """The file or folder that was read, and its state then; None: the part was no file."""
    references: tuple[tuple[View, ...], ...] = ()
    """The views of every reference."""
    samples: tuple[Part, ReferenceSet] | None = None
    """Part and references at full resolution; None where nobody will look again."""
    limits: PromptLimits = field(default_factory=PromptLimits)
    """Those of the prompt: what was asked for, as the model takes it."""
    most_pictures: int | None = None
    """Most pictures of one request, those that an agent's tools show among them; None: no limit."""
    store: object | None = None
    """Earlier cases that an agent may look up, a `CaseStore`; None: none."""
    windows: tuple[ClipWindow, ...] = ()
    """Of a long clip that a model is asked about window by window."""
    requests: tuple[Request, ...] = ()
    """One for each of them."""
    note: str = ""
    """What else there is to say of what it was compared with."""
    judged_by: tuple[str, ...] = ()
    """See `FittedClass.judged_by`."""


@dataclass(frozen=True, eq=False)
class Examination:
    """An inspection with all that it rests on: what reports draw and records keep."""

    inspection: Inspection
    views: tuple[View, ...]
    evidence: Evidence
    looks: tuple[Look, ...]
    """Every step in order; the last one with an opinion decides, or all windows of a clip together."""
    record: Record
    references: tuple[tuple[View, ...], ...] = ()
    """The views of every reference."""
    template: str = "inspect"
    thresholds: Thresholds = field(default_factory=Thresholds)
    limits: PromptLimits = field(default_factory=PromptLimits)
    judged_by: tuple[str, ...] = ()
    """See `FittedClass.judged_by`; empty of a kept case."""

    @property
    def request(self) -> Request:
        """What the model was asked when it gave the opinion that counts; of a clip in windows the last request."""
        request = deciding_look(self.looks).request
        assert request is not None
        return request

    @property
    def replies(self) -> tuple[Reply, ...]:
        """What it answered; of a clip in windows the answers about all of them."""
        return tuple(reply for look in deciding(self.looks) or [deciding_look(self.looks)] for reply in look.replies)

    @property
    def opinion(self) -> Verdict | ParseError:
        """What was read from that, or why nothing was."""
        return opinion_of(self.looks)

    @cached_property
    def fused(self) -> tuple[AnomalyMap, ...]:
        """Heat and the model's places in one map for each view that has either; none where no model judged."""
        verdict = self.opinion if isinstance(self.opinion, Verdict) else None
        trust = self.thresholds.box_trust
        return fuse_maps(verdict, self.evidence, self.views, self.record.rules, trust=trust)

    @property
    def fused_at_points(self) -> NDArray[np.float32] | None:
        """(N,): the fused map at every point of a scan, in nats; None where no model judged, or for what is no scan."""
        drawn = ((self.views[one.view].origin, one.values) for one in self.fused)
        return values_at_points((origin, values) for origin, values in drawn if isinstance(origin, ScanOrigin))

    @property
    def drawn_evidence(self) -> Evidence:
        """The evidence as pictures show it: with the fused maps, where a model named a place."""
        verdict = self.opinion if isinstance(self.opinion, Verdict) and self.opinion.by_model else None
        if not named_places(verdict, self.views, self.record.rules):
            return self.evidence
        worded = self.evidence.worded
        return replace(self.evidence, maps=self.fused, worded=worded and replace(worded, maps=self.fused))

    def under(self, thresholds: Thresholds) -> Inspection:
        """Return what the same evidence and opinion amount to under other thresholds."""
        return fuse(self.opinion, self.evidence, thresholds, self.record)
