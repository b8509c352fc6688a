"""Demo parts from code: screws as scans, circuit boards as photographs, a conveyor as clips, a motor as curves;
and a puzzle set of trays.

Everything is drawn, sampled and written here; nothing is downloaded. The same seed gives the same parts.
"""

from vlm_inspect.demo.folder import write_demo
from vlm_inspect.demo.truth import DemoCase, DemoDefect, DemoTruth

__all__ = ["DemoCase", "DemoDefect", "DemoTruth", "write_demo"]
