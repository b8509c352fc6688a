"""Numbers in words: so many significant digits, and no exponent where a reader would write none."""


def rounded(value: float, digits: int) -> str:
    """Return a number with so many significant digits, without an exponent where it is of usual size."""
    return f"{float(f'{value:.{digits}g}'):.12g}"
