"""Demo parts from code: screws as scans, circuit boards as photographs, a conveyor as clips, a motor as curves;
a puzzle set of trays, and a set of scans of four classes.

Everything is drawn, sampled and written here; nothing is downloaded. The same seed gives the same parts.
"""

from vlm_inspect.demo.folder import DemoKind, write_demo
from vlm_inspect.demo.truth import DemoCase, DemoDefect, DemoTruth

__all__ = ["DemoCase", "DemoDefect", "DemoKind", "DemoTruth", "write_demo"]
