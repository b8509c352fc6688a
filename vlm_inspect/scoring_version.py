"""The versions of all that scores parts: work that was begun under others is not gone on with."""

from vlm_inspect.localization.clip_events.localizer import VERSION as CLIPS
from vlm_inspect.localization.curves.localizer import VERSION as CURVES
from vlm_inspect.localization.memory import VERSION as MEMORY
from vlm_inspect.qualification.qualify import TRIAL_VERSION
from vlm_inspect.references import SCAN_VERSION


def scoring_version() -> str:
    """Return the versions in one line, for people to read: equal, and scores of equal settings compare."""
    return f"memory {MEMORY}, scans {SCAN_VERSION}, curves {CURVES}, clips {CLIPS}, planted defects {TRIAL_VERSION}"
