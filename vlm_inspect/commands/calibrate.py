"""`vlm-inspect calibrate`: thresholds from parts known to be normal."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converters.system_files import is_system_file
from vlm_inspect.command_options.general import PATH, common, progress
from vlm_inspect.command_options.groups import GroupedCommand
from vlm_inspect.command_options.inspector import inspector_options
from vlm_inspect.commands.storing import open_store, store_option
from vlm_inspect.safe_text import write_line

if TYPE_CHECKING:
    from vlm_inspect.calibration.judged_parts import JudgedParts
    from vlm_inspect.calibration.run import CalibrationRun
    from vlm_inspect.config import InspectorConfig

_SHOWN = 5


@click.command(cls=GroupedCommand)
@click.argument("normals", type=PATH, metavar="[NORMALS_DIR]", required=False)
@click.option("--out", type=PATH, required=True, metavar="FILE", help="File of the calibration to write (JSON).")
@click.option(
    "--overkill",
    type=click.FloatRange(0.0, 0.5, min_open=True),
    default=0.05,
    show_default=True,
    help="Share of new normal parts that may be stopped by their score (NG or REVIEW).",
)
@click.option(
    "--missed",
    type=click.FloatRange(0.0, 0.5, min_open=True, max_open=True),
    help="Share of planted defects, of the size that matters, that may be called OK.  [default: 0.1]",
)
@click.option(
    "--anomalous",
    type=PATH,
    metavar="DIR",
    help="Parts known to be anomalous: they shift the bound of OK, and with a model the weights are learnt, too.",
)
@click.option(
    "--judged",
    is_flag=True,
    help="Also take the parts of this class that people judged: normal those judged OK, anomalous those judged NG.",
)
@click.option(
    "--boxes-from",
    type=PATH,
    metavar="RUN_DIR",
    help="Output folder of a `bench` run over pictures with masks: keeps how often its model's boxes were right, which "
    "says how far its boxes count in the fused map of a single part.",
)
@store_option
@inspector_options
@common
def calibrate(normals: Path | None, out: Path, *, config: "InspectorConfig", **options: Any) -> int:
    """Set the thresholds of OK and REVIEW from the normal parts in NORMALS_DIR, which must not be references.

    The file is valid for this rule book and localizer. Give it to `ask` or `bench` as --calibration. Defects are
    planted on some of the normal photographs, to know better which would be found: about a minute more, remembered.

    With --judged the parts that people judged (`cases judge`, or /ok and /ng in chat) are inspected again and count as
    well. Judge parts as they come: if only those are judged that were held up, the thresholds become too loose.

    \b
    Example:
      vlm-inspect calibrate normal/ --rules rules/screw.yaml --out screw.calibration.json
      vlm-inspect ask part.ply --rules rules/screw.yaml --calibration screw.calibration.json
      vlm-inspect calibrate --judged --rules rules/screw.yaml --out screw.calibration.json
    """
    import tempfile

    from vlm_inspect.calibration.box_record import read_box_record
    from vlm_inspect.calibration.run import calibrate as run_calibration
    from vlm_inspect.calibration_file import save_calibration
    from vlm_inspect.file_writing import check_writable

    if config.calibration is not None:
        raise click.UsageError("calibrate makes a calibration and takes none; leave out --calibration")
    if normals is None and not options["judged"]:
        raise click.UsageError("name a folder of normal parts, or take those that people judged: --judged")
    check_writable(out)
    record = read_box_record(options["boxes_from"]) if options["boxes_from"] else None
    judged: JudgedParts | None = None
    paths = [] if normals is None else _files(normals)
    others = _files(options["anomalous"]) if options["anomalous"] else []
    with tempfile.TemporaryDirectory() as folder, progress(quiet=options["quiet"]) as say:
        inspector = config.build()
        if options["judged"]:
            judged = _judged(inspector.rules.class_name, options["store"], Path(folder))
            paths, others = [*paths, *judged.normal], [*others, *judged.anomalous]
        run = run_calibration(
            inspector,
            paths,
            overkill=options["overkill"],
            missed=options["missed"],
            anomalous=others,
            progress=lambda done, of, path: say(f"{done} of {of} parts; now {path.name}"),
            say=say,
        )
    save_calibration(run.calibration.model_copy(update={"boxes": record}), out)
    _report(run, out)
    if judged is not None:
        _tell_judged(judged)
    return 0


def _judged(class_name: str, store: str | None, folder: Path) -> "JudgedParts":
    """Return the normal and the anomalous parts that people judged."""
    from vlm_inspect.calibration.judged_parts import judged_parts
    from vlm_inspect.errors import CalibrationError
    from vlm_inspect.safe_text import plain_line

    with open_store(store) as opened:
        parts = judged_parts(opened, class_name, folder)
    if not parts.normal and not parts.anomalous:
        gone = f" ({len(parts.gone)} are gone or have changed)" if parts.gone else ""
        raise CalibrationError(
            f"no judged part of class {plain_line(class_name)} can be inspected again{gone}; "
            "judge parts by vlm-inspect cases judge ID ok"
        )
    return parts


def _tell_judged(parts: "JudgedParts") -> None:
    write_line(f"judged by people: {len(parts.normal)} normal and {len(parts.anomalous)} anomalous parts", err=True)
    if parts.gone:
        shown = ", ".join(parts.gone[:_SHOWN]) + (", ..." if len(parts.gone) > _SHOWN else "")
        write_line(
            f"left out: {len(parts.gone)} judged parts that are gone or have changed ({shown}); use ask --keep-input",
            err=True,
        )


def _files(folder: Path) -> list[Path]:
    """Return the files of a folder, and its folders (clips as frames), in a fixed order; system files left out."""
    from vlm_inspect.errors import CalibrationError

    if not folder.is_dir():
        raise CalibrationError(
            f"{folder}: {'is a file' if folder.exists() else 'no such folder'}; name a folder of parts"
        )
    found = sorted(path for path in folder.iterdir() if not is_system_file(path))
    if not found:
        raise CalibrationError(f"{folder} is empty; put parts into it")
    return found


def _report(run: "CalibrationRun", out: Path) -> None:
    from vlm_inspect.calibration.conformal import parts_for_width
    from vlm_inspect.sensitivity.wording import tell_sensitivity

    made, bound = run.calibration, run.bound
    low, high = bound.realised_ci95
    write_line(f"{out}: OK up to {made.ok_below:.3f}, NG from {made.ng_above:.3f}, REVIEW between")
    write_line(
        f"at most {bound.rate:.1%} of new normal parts score above {bound.score:.3f}, on average over calibrations; "
        f"with {bound.n} parts this one lies between {low:.1%} and {high:.1%} (95 %)"
    )
    if made.ok_below < bound.score:
        write_line(
            f"OK ends below that, at {made.ok_below:.3f}, so that no more defects come out OK than asked: more normal "
            "parts are held up; accept more by --missed, or give more references"
        )
    if high - low > 0.05:
        write_line(f"{parts_for_width(made.asked_overkill or bound.rate, 0.05)} parts would narrow that to 5 points")
    counts = ", ".join(f"{count} {name}" for name, count in run.outcomes.items())
    low, high = made.overkill_ci95
    write_line(
        f"of the {made.n} normal parts: {counts}; held up {made.overkill:.1%} (95 % interval {low:.1%} to {high:.1%})"
    )
    if run.leaves_none_ok:
        write_line(
            "warning: no part will be OK with this file, the normal ones neither; calibrate again with more normal "
            "parts and more references, or accept more planted defects by --missed"
        )
    for path, inspection in run.held_up[:_SHOWN]:
        reason = f": {inspection.review_reasons[0]}" if inspection.review_reasons else ""
        write_line(f"  {inspection.outcome} {inspection.score:.3f} {path.name}{reason}")
    if made.asked_missed is not None:
        write_line(f"at most {made.asked_missed:.0%} of planted defects of the size that matters are called OK (95 %)")
    if run.sensitivity is not None:
        count = run.sensitivity.references
        references = f"{count} reference{'s' if count != 1 else ''}"
        write_line(f"under these bounds {references} {tell_sensitivity(run.sensitivity)}")
    if run.caught is not None:
        write_line(
            f"of the {run.anomalous} anomalous parts, {run.caught} are not OK (they shift the bounds: optimistic)"
        )
    if run.left_out:
        write_line(
            f"left out as references or copies: {', '.join(path.name for path in run.left_out[:_SHOWN])}", err=True
        )
