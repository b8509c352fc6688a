"""The `evidence` model: no language model; its reply is what was measured, in words, with the verdict itself."""

import json
import time
from collections.abc import Sequence

from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.inspection import Usage
from vlm_inspect.offline.report import as_answer, judge_evidence


class EvidenceBackend:
    """Words the evidence of a request; deterministic, offline, without a language model."""

    @property
    def name(self) -> str:
        """The name in `--model` and in the record."""
        return "evidence"

    def generate(self, request: Request, *, samples: int = 1) -> Sequence[Reply]:
        """Return one reply with its verdict, whatever `samples` asks for: a second one would be the same words.

        Raises:
            PromptError: the file of its sentences is missing or wrong.
        """
        del samples
        start = time.perf_counter()
        asked = (request.question, request.language)
        verdict = judge_evidence(request.evidence, request.rules, request.views, *asked, request.thresholds)
        text = json.dumps(as_answer(verdict), ensure_ascii=False)
        usage = Usage(latency_s=time.perf_counter() - start, calls=1)
        return [Reply(text=text, usage=usage, model=self.name, verdict=verdict)]
