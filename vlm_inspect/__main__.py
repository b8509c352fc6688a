"""The command `vlm-inspect`, also as `python -m vlm_inspect`: Ctrl-C is heeded while the rest is imported."""

import sys


def main() -> None:
    """Run the command line and leave with its exit code; 130 where Ctrl-C comes before it has begun."""
    try:
        from vlm_inspect.cli import main as run
    except KeyboardInterrupt:
        sys.stderr.write("vlm-inspect: interrupted\n")
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
