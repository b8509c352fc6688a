"""The exact interval of a rate that was seen in a few cases."""


def overkill_interval(exceeded: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact confidence interval of a rate of which `exceeded` cases in `n` were seen.

    Clopper & Pearson, Biometrika 26 (1934), by the beta quantiles.

    Raises:
        ValueError: not 0 <= exceeded <= n, or n is 0.
    """
    from scipy.stats import beta

    if not 0 <= exceeded <= n or n == 0:
        raise ValueError(f"{exceeded} of {n} is not a rate")
    tail = (1 - confidence) / 2
    low = 0.0 if exceeded == 0 else float(beta.ppf(tail, exceeded, n - exceeded + 1))
    high = 1.0 if exceeded == n else float(beta.ppf(1 - tail, exceeded + 1, n - exceeded))
    return low, high
