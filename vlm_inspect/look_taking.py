"""`take_look`: a step of an examination put to the model, and what is said while it is asked."""

import time
from dataclasses import replace

from vlm_inspect.asking import ask_model
from vlm_inspect.backends import is_offline
from vlm_inspect.backends.backend import Backend
from vlm_inspect.backends.two_models import TwoModels
from vlm_inspect.errors import BackendError
from vlm_inspect.looks.look import Look, Step, read_look


def take_look(step: Step, number: int, backend: Backend, *, samples: int, by_agent: bool) -> Look:
    """Ask the model. Where a later look fails, there is no verdict: the first answer was not good enough.

    Args:
        step: what is asked; it has a request.
        number: of the look, from 1.
        backend: the model.
        samples: how often it is asked for an opinion.
        by_agent: whether the step is one of an agent.

    Raises:
        BackendError: the first look fails.
    """
    assert step.request is not None
    began = time.perf_counter()
    try:
        replies = ask_model(backend, step.request, samples=samples)
    except BackendError as error:
        if number == 1:
            raise
        failed = replace(step, phase="judge") if by_agent else step
        what = f"Step {number} of the agent" if by_agent else _name_of(step)
        return read_look(failed, (), time.perf_counter() - began, note=f"{what} failed: {error}")
    return read_look(step, replies, time.perf_counter() - began)


def asking_words(step: Step, number: int, backend: Backend, *, by_agent: bool) -> str:
    """Say who is asked for what; see `take_look`."""
    if by_agent:
        second = step.request is not None and step.request.of_refuter
        asked = backend.refuter if second and isinstance(backend, TwoModels) else backend
        return f"step {number}, {step.phase}{f', {step.tool}' if step.tool else ''}: asking {asked.name}"
    if step.window is not None:
        return f"asking {backend.name} {'again ' if step.phase == 'look_again' else ''}about {step.window.name}"
    if is_offline(backend.name):
        return "wording what was measured"
    return f"asking {backend.name}{' again' if number > 1 else ''}"


def _name_of(step: Step) -> str:
    if step.window is None:
        return "The second look"
    return f"{'The second look at' if step.phase == 'look_again' else 'Asking about'} {step.window.name}"
