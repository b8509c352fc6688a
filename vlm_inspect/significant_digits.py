"""Numbers in words: so many significant digits, and no exponent where a reader would write none."""


def rounded(value: float, digits: int) -> str:
    """Return a number with so many significant digits, without an exponent where it is of usual size."""
    return f"{float(f'{value:.{digits}g}'):.12g}"


def probability_words(value: float | None) -> str:
    """Return a probability in words that never claim certainty."""
    if value is None:
        return "unknown"
    return "over 0.99" if value > 0.99 else "under 0.01" if value < 0.01 else f"{value:.2f}"
