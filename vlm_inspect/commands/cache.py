"""`vlm-inspect cache`: what is kept on disk so that it need not be computed again, and how to be rid of it."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from vlm_inspect.command_options.general import common
from vlm_inspect.safe_text import write_line

if TYPE_CHECKING:
    from vlm_inspect.array_cache import ArrayCache


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Write JSON to stdout.")
@common
@click.pass_context
def cache(context: click.Context, as_json: bool, quiet: bool, debug: bool) -> int:
    """Show the cache on disk: its folder, and its entries and bytes by kind.

    The folder is VLM_INSPECT_CACHE, or the system's usual place for caches; VLM_INSPECT_CACHE=off turns the cache off.
    Above 1 GiB the least recently used entries are removed. The cache never changes a result, it only saves time.

    \b
    Example:
      vlm-inspect cache
      vlm-inspect cache clear
      vlm-inspect cache clear --kind memories
    """
    from vlm_inspect.array_cache import MOST_BYTES, user_cache
    from vlm_inspect.safe_text import escape_invisible

    if context.invoked_subcommand is not None:
        return 0
    kept = user_cache()
    usage = kept.usage()
    if as_json:
        home = None if kept.home is None else str(kept.home)
        told: dict[str, Any] = {"folder": home, "most_bytes": MOST_BYTES, "kinds": [asdict(one) for one in usage]}
        write_line(escape_invisible(json.dumps(told, ensure_ascii=False, indent=2)))
        return 0
    _show(kept)
    return 0


def _show(kept: "ArrayCache") -> None:
    if kept.home is None:
        write_line("VLM_INSPECT_CACHE is off: nothing is kept on disk")
        return
    usage = kept.usage()
    write_line(f"{kept.home}: {_size(sum(one.bytes for one in usage))} in {sum(one.entries for one in usage)} entries")
    for one in usage:
        write_line(f"  {one.kind:<16} {_size(one.bytes):>11}  {one.entries} entries")


@cache.command()
@click.option("--kind", metavar="NAME", help="Only this kind, as `vlm-inspect cache` names it.")
@common
def clear(kind: str | None, quiet: bool, debug: bool) -> int:
    """Remove what can be computed again. Replies that were paid for are removed only with --kind.

    \b
    Example:
      vlm-inspect cache clear
      vlm-inspect cache clear --kind descriptions
    """
    from vlm_inspect.array_cache import user_cache

    kept = user_cache()
    known = [one.kind for one in kept.usage()]
    if kind is not None and kind not in known:
        raise click.UsageError(f"no kind {kind!r} in the cache; there is {', '.join(known) or 'nothing'}")
    gone = kept.clear(kind)
    write_line(f"removed {gone.entries} entries, {_size(gone.bytes)}")
    return 0


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.1f} KiB"
