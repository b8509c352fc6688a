"""All runs to the text between two marks of docs/results/bench.md.

section_of(data_sets, runs)      means, then a chapter a data set: what it is, two tables, what others have published
put_into(page, text)             the rest of the page stays as it is
put_chapters(page, some, runs)   so do the chapters of other data sets
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.real_results import tables
from benchmarks.real_results.data_set import DataSet
from benchmarks.real_results.runs import Runs
from evaluation.metrics import bootstrap, fill_failures
from evaluation.metrics.bootstrap import Outcomes
from evaluation.runs.finished_run import FinishedRun
from evaluation.runs.record import ItemRecord
from evaluation.scoring.pixel_draws import pixel_intervals, read_draws
from vlm_inspect.file_writing import write_atomically

BEGIN = "<!-- make results: from here to the end mark this text is written by the runs; change data_sets.yaml -->"
END = "<!-- make results: end -->"
_WIDTH = 120
_PIXELS = {"pixel_auroc": "pixel AUROC", "aupro": "AUPRO"}


def section_of(data_sets: Sequence[DataSet], runs: Runs) -> str:
    """Return the Markdown of all that was measured.

    Raises:
        ValueError: there is no run at all.
    """
    if not runs:
        raise ValueError("no run is finished; call it without --write-only, or with another --out")
    lines = [*_setting(runs), "", *_means(data_sets, runs)]
    for one in data_sets:
        lines += ["", *_chapter(one, {shots: run for (name, shots), run in runs.items() if name == one.name})]
    return "\n".join(lines)


def put_into(page: Path, text: str) -> None:
    """Replace what stands between the marks of a page.

    Raises:
        ValueError: the page has not both marks, once each and in order.
        OSError: it cannot be read.
        OutputError: it cannot be written.
    """
    before, _, after = _parts_of(page)
    write_atomically(page, f"{before}{BEGIN}\n\n{text}\n\n{END}{after}".encode())


def put_chapters(page: Path, data_sets: Sequence[DataSet], runs: Runs) -> None:
    """Replace the chapters of some data sets; means and the other chapters stay, since their runs may be elsewhere.

    Raises:
        ValueError: the page has not both marks, or not those chapters between them; or one of the sets has no run.
        OSError: it cannot be read.
        OutputError: it cannot be written.
    """
    before, text, after = _parts_of(page)
    chapters = text.strip().split("\n\n## ")
    for one in data_sets:
        own = {shots: run for (name, shots), run in runs.items() if name == one.name}
        places = [number for number, chapter in enumerate(chapters) if chapter.split("\n")[0] == one.title]
        if not own:
            raise ValueError(f"no run of {one.name} is finished; call it without --write-only, or with another --out")
        if len(places) != 1:
            raise ValueError(f"{page} needs one chapter {one.title!r}; write it once without --only")
        chapters[places[0]] = "\n".join(_chapter(one, own)).removeprefix("## ").strip()
    text = "\n\n## ".join(chapters)
    write_atomically(page, f"{before}{BEGIN}\n\n{text}\n\n{END}{after}".encode())


def _parts_of(page: Path) -> tuple[str, str, str]:
    """Return what stands before the marks, between them and after them."""
    whole = page.read_text(encoding="utf-8")
    if whole.count(BEGIN) != 1 or whole.count(END) != 1 or whole.index(BEGIN) > whole.index(END):
        raise ValueError(f"{page} needs the line {BEGIN!r} once, and after it {END!r}")
    before, rest = whole.split(BEGIN)
    text, after = rest.split(END)
    return before, text, after


def _setting(runs: Runs) -> Iterator[str]:
    settings = [run.results.settings.model_dump() for run in runs.values()]
    items = sum(len(run.records) for run in runs.values())
    failed = sum(record.failure is not None for run in runs.values() for record in run.records)
    compared = sum(run.results.checks.references_compared_with_scored_files or 0 for run in runs.values())
    wall_s = sum(run.results.wall_s for run in runs.values())
    leaks = sum(run.results.checks.leaks for run in runs.values())
    model, version, seed, limit = (_all_of(settings, key) for key in ("model", "version", "seed", "limit"))
    yield from _wrapped(
        f"Model `{model}`, version {version}, seed {seed}, "
        f"{'all test items' if limit == 'None' else f'at most {limit} test items a class'}: {len(runs)} runs over "
        f"{items:,} items, {failed} of them failed, {wall_s / 60:.0f} minutes in all. Localizer by number of "
        f"references: {_localizers(runs)}. Leak check: {compared} references compared by content with the "
        f"scored files, {leaks} among them."
    )


def _localizers(runs: Runs) -> str:
    """Return which localizer the default chose with how many references."""
    chosen: dict[str, set[int]] = {}
    for run in runs.values():
        settings = run.results.settings
        chosen.setdefault(settings.localizer, set()).add(settings.shots)
    told = sorted((sorted(numbers), name) for name, numbers in chosen.items())
    return "; ".join(f"`{name}` with {', '.join(map(str, numbers))}" for numbers, name in told)


def _all_of(settings: Sequence[Mapping[str, Any]], key: str) -> str:
    return ", ".join(sorted({str(one[key]) for one in settings}))


def _means(data_sets: Sequence[DataSet], runs: Runs) -> Iterator[str]:
    """Yield the mean of the classes of all data sets that count in it, by number of references, resampled by image."""
    counted = [one for one in data_sets if one.in_mean]
    yield f"## Mean of the classes of {' and '.join(one.title for one in counted)}"
    yield ""
    rows = []
    for shots in sorted({shots for one in counted for shots in one.shots}):
        own = [runs[one.name, shots] for one in counted if (one.name, shots) in runs]
        if len(own) < len(counted):
            rows.append([str(shots), "not all run"])
            continue
        rows.append([str(shots), *_mean_cells(own)])
    heads = ("references", "classes", "image AUROC", "heatmap AUROC", *_PIXELS.values(), "missed", "overkill", "REVIEW")
    yield from tables.table(heads, rows)


def _mean_cells(runs: Sequence[FinishedRun]) -> list[str]:
    by_class = {name: run.of_category(name) for run in runs for name in run.categories}
    told = [one for run in runs for one in run.results.categories.values()]
    said = [[one.counted_score for one in records] for records in by_class.values()]
    hot = [[one.heatmap_score for one in records] for records in by_class.values()]
    rates = [
        sum(one.metric(key) or 0.0 for one in told) / len(told) for key in ("miss_rate", "overkill_rate", "review_rate")
    ]
    return [
        str(len(by_class)),
        *(_mean_auroc(by_class, scores) for scores in (said, hot)),
        *_mean_pixels(runs),
        *(tables.figure(rate) for rate in rates),
    ]


def _mean_auroc(by_class: Mapping[str, Sequence[ItemRecord]], scores: Sequence[Sequence[float | None]]) -> str:
    """Return the mean AUROC and its interval; what has no score counts as wrong."""
    outcomes = {}
    for (name, records), own in zip(by_class.items(), scores, strict=True):
        labels = [one.anomalous for one in records]
        outcomes[name] = Outcomes.of([one.id for one in records], labels, fill_failures(labels, own))
    found = bootstrap.intervals(bootstrap.auroc, outcomes).mean
    return "n/a" if found is None else tables.figure(found.value, (found.low, found.high))


def _mean_pixels(runs: Sequence[FinishedRun]) -> Iterator[str]:
    """Yield the mean of each pixel metric over the classes with masks, with its interval and how many they are."""
    draws = {name: told for run in runs for name, told in read_draws(run.folder).items()}
    intervals = pixel_intervals(draws)["mean"]
    for metric in _PIXELS:
        told = [one.metric(metric) for run in runs for one in run.results.categories.values()]
        known = [value for value in told if value is not None]
        whole = sum(metric in one for one in draws.values()) == len(known)
        mean = sum(known) / len(known) if known else None
        without = f", {len(known)} of {len(told)} classes" if 0 < len(known) < len(told) else ""
        yield tables.figure(mean, intervals.get(metric) if whole else None) + without


def _chapter(one: DataSet, runs: tables.Told) -> Iterator[str]:
    yield from (f"## {one.title}", "", *_wrapped(one.text))
    if runs:
        yield from ("", *tables.ranking(runs, one.shots), "", *tables.deciding(runs, one.shots))
        yield from (*tables.frames(runs, one.shots), "")
        took = ", ".join(f"{shots}: {runs[shots].results.wall_s:.0f} s" for shots in one.shots if shots in runs)
        yield f"`vlm-inspect bench` by number of references, wall time: {took}."
    else:
        yield from ("", "Not run.")
    if one.published:
        yield from ("", *_wrapped(f"**Published by others, not measured here.** {one.caution}"), "")
        yield from (*tables.published(one.published), "")
        for key, text in one.sources.items():
            yield from _wrapped(f"- {key}: {text}", indent="  ")
    elif one.caution:
        yield from ("", *_wrapped(one.caution))


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        " ".join(text.split()), _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
