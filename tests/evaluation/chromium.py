"""A real headless Chromium that looks at a page as a phone shows it, and says what it found."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
    *("--enable-logging=stderr", "--log-level=0", "--virtual-time-budget=5000"),
)
_PROBE = """
addEventListener('load', () => {
  for (const one of document.querySelectorAll('details')) one.open = true;
  const bad = [...document.images].filter((one) => !one.complete || !one.naturalWidth).map((one) => one.alt);
  const root = document.documentElement, wide = [];
  for (const one of document.body.querySelectorAll('*'))
    if (!one.closest('.wide') && one.getBoundingClientRect().right > innerWidth + 0.5) wide.push(one.tagName);
  parent.postMessage(JSON.stringify({
    inner: innerWidth, scroll: Math.max(root.scrollWidth, document.body.scrollWidth), images: document.images.length,
    undecoded: bad, wide, charts: document.querySelectorAll('svg.plot').length, height: root.scrollHeight}), '*');
});
"""
_FRAME = """<!doctype html><body><iframe src="{name}" width="{width}" height="800"></iframe>
<script>addEventListener('message', (told) => {{ document.body.dataset.told = told.data; }});</script></body>"""


def find_chromium() -> str:
    """Return the browser's program; the test is skipped, with the reason, where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    return found


def console_of(page: Path, folder: Path) -> list[str]:
    """Return what a page, as it is, writes on the console."""
    _, log = _run(page, folder)
    return [line for line in log.splitlines() if ":CONSOLE" in line]


def tree_of(page: Path, folder: Path) -> str:
    """Return the tree of a page after its own scripts ran."""
    return _run(page, folder)[0]


def measure(page: Path, folder: Path, width: int) -> dict[str, Any]:
    """Return sizes of a page in a window of so many pixels, every fold open, and which pictures do not decode.

    A browser's window has a least width, so the page stands in a frame; a copy of it is told to allow the probe.
    """
    source = page.read_text(encoding="utf-8").replace(
        "default-src 'none'", "default-src 'none'; script-src 'unsafe-inline'"
    )
    (folder / "probed.html").write_text(
        source.replace("</body>", f"<script>{_PROBE}</script></body>"), encoding="utf-8"
    )
    frame = folder / "frame.html"
    frame.write_text(_FRAME.format(name="probed.html", width=width), encoding="utf-8")
    seen, log = _run(frame, folder)
    told = re.search(r'data-told="([^"]*)"', seen)
    assert told is not None, f"the page did not answer:\n{seen[-500:]}\n{log[-2000:]}"
    return dict(json.loads(html.unescape(told.group(1))))


def _run(page: Path, folder: Path) -> tuple[str, str]:
    """Return the page's tree after loading, and the log."""
    profile = folder / "profile"
    command = [find_chromium(), *_FLAGS, f"--user-data-dir={profile}", "--dump-dom", page.resolve().as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, done.stderr
