"""What the description of the service allows is asked, and what it does not: nothing is a 500, nothing names a path."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode

from tests.service.conftest import listening, part, settings_in
from tests.waiting import LONGEST_S
from vlm_inspect.service.app import make_app
from vlm_inspect.service.settings import Limits
from vlm_inspect.service.tokens import Tokens

_LENIENT = settings(
    max_examples=3, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


def asked(operation: Any, mode: GenerationMode, ask: Callable[[schemathesis.Case], None]) -> None:
    """Ask a few requests of an operation: such as are described, or such as are not."""
    with contextlib.suppress(Unsatisfiable):  # what takes any text cannot be asked wrongly
        _LENIENT(given(case=operation.as_strategy(generation_mode=mode))(ask))()


def test_nothing_that_may_be_asked_is_an_internal_error(tmp_path: Path) -> None:
    limits = Limits(waiting=3, requests_per_minute=1_000_000, upload_s=5)
    done = set()
    with listening(make_app(settings_in(tmp_path, limits=limits), Tokens())) as address:
        case_id = httpx.post(f"{address}/v1/inspections", files=part()).json()["id"]

        def of_a_case(case: schemathesis.Case) -> None:
            if "case_id" in case.path_parameters:
                case.path_parameters["case_id"] = case_id
            ask(case)

        def ask(case: schemathesis.Case) -> None:
            if (case.operation.path, case.method) == ("/v1/inspections", "POST"):
                case.query = {**(case.query or {}), "wait": 0}
            answer = case.call(timeout=LONGEST_S)
            done.add((case.operation.path, case.method))
            assert answer.status_code < 500, (case.as_curl_command(), answer.text)
            assert str(tmp_path).encode() not in answer.content
            if answer.status_code >= 400:
                assert "error" in json.loads(answer.content), answer.text

        for found in schemathesis.openapi.from_url(f"{address}/openapi.json").get_all_operations():
            operation = found.ok()
            asked(operation, GenerationMode.POSITIVE, of_a_case)
            if list(operation.body) or list(operation.query):  # a path alone is a text: any will do
                asked(operation, GenerationMode.NEGATIVE, ask)
        assert httpx.get(f"{address}/healthz").status_code == 200
    assert len(done) >= 25
