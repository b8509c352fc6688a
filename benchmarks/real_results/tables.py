"""results.json to lines of Markdown. A figure stands with its 95 % interval where the run has one."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from benchmarks.real_results.data_set import Published
from evaluation.runs.finished_run import FinishedRun
from evaluation.runs.results import Results

Told = Mapping[int, FinishedRun]
"""The runs of one data set by number of references."""
_Cells = Callable[[Results, str], list[str]]
"""Results and class to the last cells of a row."""
_RANKING = ("image_auroc", "heatmap_auroc", "pixel_auroc", "aupro")
_OUTCOMES = ("OK", "REVIEW", "NG")
_MEAN = "mean"


def ranking(runs: Told, shots: Sequence[int]) -> Iterator[str]:
    """Yield the table of what the scores and heatmaps are worth, class by class, then the mean of several classes."""
    heads = ("class", "references", "normal / anomalous", "image AUROC", "heatmap AUROC", "pixel AUROC", "AUPRO")
    yield from table(heads, [*_per_class(runs, shots, _ranked), *_means(runs, shots)])


def deciding(runs: Told, shots: Sequence[int]) -> Iterator[str]:
    """Yield the table of what the inspections decide."""
    heads = ("class", "references", "missed", "overkill", "REVIEW", "normal: OK / REVIEW / NG", "anomalous: the same")
    yield from table(heads, _per_class(runs, shots, _decided))


def frames(runs: Told, shots: Sequence[int]) -> Iterator[str]:
    """Yield the table of clips, scored frame by frame; nothing where there is none."""
    rows = [
        [clip.id, str(number), f"{clip.anomalous_frames} / {clip.frames}", figure(clip.frame_auroc)]
        for name in classes_of(runs)
        for number in shots
        if number in runs
        for clip in runs[number].results.categories[name].clips
    ]
    pooled = [
        [f"{name}, all frames together", str(number), "", figure(one.metric("frame_auroc"))]
        for name in classes_of(runs)
        for number in shots
        if number in runs and (one := runs[number].results.categories[name]).metric("frame_auroc") is not None
    ]
    if rows:
        yield from ("", *table(("clip", "references", "anomalous / scored frames", "frame AUROC"), [*rows, *pooled]))


def published(rows: Sequence[Published]) -> Iterator[str]:
    """Yield the table of figures that are not ours."""
    heads = ("published", "method", "references", "image AUROC", "pixel AUROC", "AUPRO", "source")
    cells = [
        [one.of, one.method, one.references, *map(_or_dash, (one.image_auroc, one.pixel_auroc, one.aupro)), one.source]
        for one in rows
    ]
    yield from table(heads, cells)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table."""
    yield _line(heads)
    yield "|" + "---|" * len(heads)
    yield from map(_line, rows)


def figure(value: float | None, interval: Sequence[float] | None = None) -> str:
    """Return a figure to three digits with its interval; n/a where it is not defined."""
    if value is None:
        return "n/a"
    within = "" if interval is None else f" ({interval[0]:.3f} to {interval[1]:.3f})"
    return f"{value:.3f}{within}"


def classes_of(runs: Told) -> list[str]:
    """Return the classes of the runs, in their order."""
    return list(dict.fromkeys(name for run in runs.values() for name in run.categories))


def _per_class(runs: Told, shots: Sequence[int], cells: _Cells) -> Iterator[list[str]]:
    for name in classes_of(runs):
        for number in shots:
            run = runs.get(number)
            if run is None or name not in run.results.categories:
                yield [name, str(number), "not run"]
            else:
                yield [name, str(number), *cells(run.results, name)]


def _means(runs: Told, shots: Sequence[int]) -> Iterator[list[str]]:
    """Yield the mean of the classes of each run, where there are several."""
    if len(classes_of(runs)) < 2:
        return
    for number in shots:
        if number in runs:
            results = runs[number].results
            told = [figure(results.mean.get(one), results.interval(_MEAN, one)) for one in _RANKING]
            yield [_MEAN, str(number), "", *told]


def _ranked(results: Results, name: str) -> list[str]:
    one = results.categories[name]
    counts = f"{one.n - one.n_anomalous} / {one.n_anomalous}"
    return [counts, *(figure(one.metric(metric), results.interval(name, metric)) for metric in _RANKING)]


def _decided(results: Results, name: str) -> list[str]:
    one = results.categories[name]
    rates = [figure(one.metric(metric), results.interval(name, metric)) for metric in ("miss_rate", "overkill_rate")]
    counts = [_outcomes(one.outcomes[label]) for label in ("normal", "anomalous")]
    return [*rates, figure(one.metric("review_rate")), *counts]


def _outcomes(counts: Mapping[str, int]) -> str:
    without = f", {counts['none']} failed" if counts["none"] else ""
    return " / ".join(str(counts[one]) for one in _OUTCOMES) + without


def _or_dash(text: str) -> str:
    return text or "–"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
