"""`LocalizerSettings`: every setting of every localizer, typed, with its default; unknown keys are errors.

    LocalizerSettings.model_validate({"clip": "models/clip", "alfa": {"aligner": "none", "scales": [2, 3, 4]}})

`load_localizer(name, settings)` takes them, and `model_dump(mode="json")` is what a run's record keeps. `dapo` and
`promptad` say how `vlm-inspect train` makes them; what is trained knows its settings from its own file, and others than
those are refused.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from vlm_inspect.localization.alfa.settings import AlfaSettings
from vlm_inspect.localization.dapo.settings import DapoChoices, DapoMiniSettings
from vlm_inspect.localization.memory_settings import MemorySettings
from vlm_inspect.localization.promptad.settings import PromptAdSettings
from vlm_inspect.localization.winclip.settings import WinClipSettings


class LocalizerSettings(BaseModel):
    """What localizers are made with; each takes its own part."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    clip: str | None = None
    """CLIP weights: a folder, or an id in the hub's local cache."""
    half: bool = False
    """Whether CLIP weights are float16 (CUDA only); papers of the methods here use float32."""
    batch: int = Field(default=1, ge=1, le=1024)
    """Pictures that a text-driven localizer judges together, those of several parts that are judged at the same time
    among them. Pays on a GPU; maps differ by less than 1e-5."""
    checkpoint: Path | None = None
    """Weights for dapo or promptad, as written by `vlm-inspect train`."""
    memory: MemorySettings = MemorySettings()
    winclip: WinClipSettings = WinClipSettings()
    alfa: AlfaSettings = AlfaSettings()
    dapo: DapoChoices = Field(default_factory=DapoChoices)
    dapo_mini: DapoMiniSettings = DapoMiniSettings()
    promptad: PromptAdSettings = PromptAdSettings()
