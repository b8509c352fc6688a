"""A set of scans laid out for `bench`: screws, gears, plates and tubes, sound and with every kind of flaw.

They are the first scans of those that `benchmarks.scans` reports on (generated_scans.py), of the same seed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vlm_inspect.demo.generated_scans import FLAWS, GeneratedScan, Scanner, generate, scan_at
from vlm_inspect.demo.scan_files import write_scan
from vlm_inspect.demo.truth import DemoCase, DemoDefect
from vlm_inspect.inspection import Outcome

FOLDER: Final = "scans"
CLASSES: Final[dict[str, str]] = {
    "screw": "m4_screw",
    "gear": "spur_gear",
    "plate": "drilled_plate",
    "tube": "flanged_tube",
}
"""Kind of part -> its class: folder and rule book."""
_REFERENCES, _SOUND, _OF_THE_REPORT = 2, 2, 10
"""References and sound parts of a class; and the sound ones of the report, behind which flawed ones are counted."""
_REFERENCE_SEED = 1000
"""References are parts of another seed, this much higher, as in the report."""
_REFERENCE_SCANNER: Final = Scanner(points=(40_000, 60_000), noise_mm=(0.01,), partial=0.0)


def write_scan_set(folder: Path, seed: int, *, scanner: Scanner | None = None) -> Iterator[list[DemoCase]]:
    """Write the scans of one class after the other under `folder/scans/CLASS`; yields their truth.

    Args:
        folder: where to; paths of the truth are relative to it.
        seed: the same one gives the same scans.
        scanner: how the parts are scanned; None: as a `Scanner` does without being told more.
    """
    for kind, class_name in CLASSES.items():
        home = f"{FOLDER}/{class_name}"
        sound = generate(kind, seed + _REFERENCE_SEED, normal=_REFERENCES, anomalous=0, scanner=_REFERENCE_SCANNER)
        references = tuple(_write(folder, f"{home}/references/{i:02d}.ply", one) for i, one in enumerate(sound, 1))
        cases = []
        for name, scan in _parts(kind, seed, scanner):
            source = _write(folder, f"{home}/{name}.ply", scan)
            cases.append(_case(source, f"rules/{class_name}.yaml", references, scan))
        yield cases


def _parts(kind: str, seed: int, scanner: Scanner | None) -> Iterator[tuple[str, GeneratedScan]]:
    for i in range(_SOUND):
        yield f"normal/{i + 1:02d}", scan_at(kind, seed, i, normal=_OF_THE_REPORT, scanner=scanner)
    for i, flaw in enumerate(FLAWS[kind]):
        scan = scan_at(kind, seed, _OF_THE_REPORT + i, normal=_OF_THE_REPORT, scanner=scanner)
        yield f"anomalous/{flaw.replace(' ', '_')}/01", scan


def _write(folder: Path, name: str, scan: GeneratedScan) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_scan(path, scan.cloud.points)
    return name


def _case(source: str, rules: str, references: tuple[str, ...], scan: GeneratedScan) -> DemoCase:
    """Return the truth of a part; a sound one that was scanned from one side is nobody's OK."""
    outcome: Outcome = "NG" if scan.flaw else "REVIEW" if scan.partial else "OK"
    defects: tuple[DemoDefect, ...] = ()
    if scan.flaw:
        x, y, z = (round(float(v), 3) for v in scan.centre_mm)
        depth = round(scan.depth_mm, 3) if scan.depth_mm else None
        defects = (DemoDefect(type=scan.flaw, point_mm=(x, y, z), size_mm=round(scan.size_mm, 3), depth_mm=depth),)
    return DemoCase(source=source, rules=rules, references=references, outcome=outcome, defects=defects)
