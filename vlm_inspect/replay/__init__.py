"""Kept cases asked again: the settings that a case was inspected with, and whether it still comes out the same.

settings.py    how the part of a case was inspected, as an `InspectorConfig` again
replay.py      the same prompt and the same outcome again, or what differs
"""

from vlm_inspect.replay.replay import Difference, Replay, read_opinion, replay

__all__ = ["Difference", "Replay", "read_opinion", "replay"]
