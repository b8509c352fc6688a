"""The agent with a tiny `hf:` model of random weights: every step is in the form, and it ends."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from tests.backends.tiny_vlms import build
from vlm_inspect.agent import AgentSettings
from vlm_inspect.backends import Connection, load_backend
from vlm_inspect.inspector import Inspector
from vlm_inspect.looks.look import Look
from vlm_inspect.rules import load_rules
from vlm_inspect.verdict import Verdict


def in_form(look: Look) -> bool:
    from vlm_inspect.agent.turns import read_turn

    return isinstance(look.opinion, Verdict) if look.phase == "judge" else bool(read_turn(look.replies).phase)


@pytest.mark.slow(2)
@pytest.mark.parametrize("family", ["qwen2_5_vl", "llava"])
def test_random_weights_run_the_loop_to_its_end(family: str, tmp_path: Path) -> None:
    Image.fromarray(np.full((64, 64, 3), 120, np.uint8)).save(tmp_path / "part.png")
    (tmp_path / "rules.yaml").write_text(
        "class_name: plate\nrules:\n  - {id: whole, text: The plate is whole., severity: critical}\n"
    )
    backend = load_backend(f"hf:{build(family, tmp_path / family)}", connection=Connection(max_tokens=360))
    inspector = Inspector(
        rules=load_rules(tmp_path / "rules.yaml"),
        backend=backend,
        localizer=None,
        agent=AgentSettings(enabled=True, max_steps=3),
    )
    examination = inspector.examine(tmp_path / "part.png")
    assert examination.inspection.outcome == "REVIEW"
    assert examination.inspection.rules[0].status == "not_checked"
    assert len(examination.looks) == 3
    assert all(in_form(look) for look in examination.looks)
