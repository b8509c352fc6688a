"""What is measured, and what others have published about it: `data_sets.yaml`, read and checked."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Published(_Entry):
    """A figure that others have published, as it is shown; "" where their source has none."""

    of: str
    method: str
    references: str
    image_auroc: str = ""
    pixel_auroc: str = ""
    aupro: str = ""
    source: str
    """A key of the data set's `sources`."""


class DataSet(_Entry):
    """One data set of the section."""

    name: str
    """Of its runs: NAME-SHOTS."""
    title: str
    folder: str
    """Below the data folder."""
    shots: tuple[int, ...]
    """Numbers of references that are measured."""
    in_mean: bool
    """Whether its classes count in the mean of classes."""
    normal_until: str = ""
    """Of clips whose own beginning is their reference: how much of it, as `--normal-until` takes it."""
    text: str
    """What it is, for the page."""
    caution: str = ""
    """Why the published figures do not compare with ours."""
    published: tuple[Published, ...] = ()
    sources: dict[str, str] = {}


def read_data_sets(path: Path | None = None) -> tuple[DataSet, ...]:
    """Return the data sets in the order of the page.

    Raises:
        ValueError: a key that is unknown or missing, a name twice, or a figure without its source.
    """
    import yaml

    text = (path or Path(__file__).with_name("data_sets.yaml")).read_text(encoding="utf-8")
    found = TypeAdapter(tuple[DataSet, ...]).validate_python(yaml.safe_load(text))
    names = [one.name for one in found]
    if len(set(names)) < len(names):
        raise ValueError("data_sets.yaml names a data set twice")
    for one in found:
        if odd := {row.source for row in one.published} ^ set(one.sources):
            raise ValueError(f"data_sets.yaml, {one.name}: figures and sources do not fit: {', '.join(sorted(odd))}")
    return found
