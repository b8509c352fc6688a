"""Numbers as answers say them."""

from vlm_inspect.answers.language import Language


def chance(value: float | None, language: Language) -> str:
    """Return a probability in words that never claim certainty."""
    if value is None:
        return language.say("chance_unknown")
    if value > 0.99:
        return language.say("chance_over")
    return language.say("chance_under") if value < 0.01 else f"{value:.2f}"
