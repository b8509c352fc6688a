"""What ALFA can be told."""

from dataclasses import dataclass
from typing import Literal

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.winclip.settings import WindowSettings

EmptyPolicy = Literal["vanilla", "extreme", "abstain"]
"""What happens where the choice leaves a label fewer than `min_keep` sentences: all of them count; those nearest to an
end of the other label's interval count; or the words have no say in this picture."""
Aligner = Literal["windows", "cls_rank1", "per_scale", "none"]
"""Which rows fit the sentences to a window: CLS and tokens of that window; its CLS alone; those of all windows of its
scale; or none, so that the sentences stay as they are."""


@dataclass(frozen=True)
class AlfaSettings(WindowSettings):
    """ALFA; the paper gives the scales and the slope, `empty_policy` and `ridge` are ours."""

    contextual: bool = True
    """Whether sentences are chosen for each picture."""
    slope: float = 1.0
    """k of the contextual score (eq. 4); ranks nothing differently, and chooses nothing."""
    empty_policy: EmptyPolicy = "vanilla"
    min_keep: int = 1
    """Fewest sentences that a label is judged by."""
    eps: float = 0.0
    """A sentence stays if it lies further than this outside the other label's interval; 1e-6 in half precision."""
    aligner: Aligner = "windows"
    ridge: float = 1e-2
    """lambda of the aligner, as a fraction of the mean squared length of its rows."""
    include_global_scale: bool = False
    """Whether the score of the whole picture is one more scale of the map, as in WinCLIP."""
    use_templates: bool = True
    use_descriptions: bool = True
    """Whether what the bank says of the class counts."""
    use_defects: bool = True
    """Whether each defect word of the rule book makes an abnormal sentence."""
    most_descriptors: int = 5
    """Most sentences that are shown as reasons."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.slope <= 0 or self.ridge <= 0 or self.eps < 0 or self.min_keep < 1:
            raise LocalizerError("slope and ridge must be above 0, eps not below it, and min_keep at least 1")
        if not (self.use_templates or self.use_descriptions):
            raise LocalizerError("ALFA needs templates or descriptions; both are switched off")
