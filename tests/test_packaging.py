"""The wheel, installed alone, works from an empty folder; importing stays light."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "cv2", "open3d", "transformers", "scipy", "matplotlib", "openai", "langchain_core", "skimage")


def run(*command: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | env
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def installed_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT))
    built = run(*build, cwd=folder)
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    target = folder / "site"
    install = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target))
    installed = run(*install, str(wheel), cwd=folder)
    assert installed.returncode == 0, installed.stderr
    return target


def test_the_wheel_holds_the_packages_and_every_prompt_and_configuration(installed_wheel: Path) -> None:
    names = {path.name for path in installed_wheel.iterdir()}
    assert {"vlm_inspect", "converters", "evaluation"} <= names
    assert "tests" not in names
    for top in ("prompts", "configs"):
        here = {path.relative_to(ROOT / top) for path in (ROOT / top).rglob("*") if path.is_file()}
        inside = installed_wheel / "vlm_inspect" / top
        assert here == {path.relative_to(inside) for path in inside.rglob("*") if path.is_file()}


def test_the_wheel_alone_asks_from_an_empty_folder(installed_wheel: Path, tmp_path: Path) -> None:
    curve = tmp_path / "curve.csv"
    curve.write_text("time (s),accel (g)\n" + "\n".join(f"{i / 100},{i % 7}" for i in range(400)))
    code = "import sys, vlm_inspect.cli as cli; print(cli.__file__, file=sys.stderr); cli.main()"
    command = (sys.executable, "-c", code, "ask", str(curve), "--json", "-")
    done = run(*command, cwd=tmp_path, PYTHONPATH=str(installed_wheel))
    assert str(installed_wheel) in done.stderr, "the checkout was used, not the wheel"
    assert done.returncode == 3, done.stderr  # no rules, no references: doubt
    assert '"outcome": "REVIEW"' in done.stdout


@pytest.mark.parametrize("module", ["vlm_inspect", "vlm_inspect.cli", "vlm_inspect.inspector", "converters.registry"])
def test_importing_loads_nothing_heavy(module: str, tmp_path: Path) -> None:
    check = f"import {module}, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = run(sys.executable, "-c", check, cwd=tmp_path)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    done = run(sys.executable, "-X", "importtime", "-m", "vlm_inspect.cli", "--help", cwd=tmp_path)
    assert done.returncode == 0
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert not loaded & set(HEAVY)


def test_an_interrupt_while_the_command_is_imported_is_no_traceback(tmp_path: Path) -> None:
    """Ctrl-C comes at the first import of the command line; that of Python itself is not ours."""
    code = (
        "import sys, runpy\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'vlm_inspect.cli':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "sys.argv = ['vlm-inspect', '--help']\n"
        "runpy.run_module('vlm_inspect', run_name='__main__')\n"
    )
    done = run(sys.executable, "-c", code, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "vlm-inspect: interrupted\n")
