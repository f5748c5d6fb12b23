"""Quantiles of the generator's histograms."""


def quantile(histogram, q):
    """Milliseconds, of {microseconds: count}."""
    rank, seen = max(1, round(sum(histogram.values()) * q)), 0
    for us, count in sorted((int(k), v) for k, v in histogram.items()):
        seen += count
        if seen >= rank:
            return us / 1000
    return float("nan")
