"""PromptAD as the VAND 3.0 report describes it: learned prompts in vision and text space, and a convolutional head.

    method = build_promptad(encoder, [Subject("bottle")])          # to train
    judge  = load_promptad(Path("bottle.safetensors"), encoder)    # to judge pictures

`settings.py` holds every choice, `net.py` the tensors, `losses.py` the six losses, `method.py` the training side,
`judge.py` the judging side, `words.py` the sentences. Torch is loaded with the first of them that is used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlm_inspect.localization.promptad.judge import PromptAdJudge, load_promptad
    from vlm_inspect.localization.promptad.method import PromptAdMethod, build_promptad
    from vlm_inspect.localization.promptad.settings import PromptAdSettings

__all__ = ["PromptAdJudge", "PromptAdMethod", "PromptAdSettings", "build_promptad", "load_promptad"]

_HOMES = {
    "PromptAdJudge": "judge",
    "load_promptad": "judge",
    "PromptAdMethod": "method",
    "build_promptad": "method",
    "PromptAdSettings": "settings",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
