"""What ALFA can be told."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vlm_inspect.localization.prompt_bank.settings import Bank, LanguageSettings
from vlm_inspect.localization.winclip.settings import WindowSettings

EmptyPolicy = Literal["vanilla", "extreme", "abstain"]
"""What happens where the choice leaves a label fewer than `min_keep` sentences: all of them count; those nearest to an
end of the other label's interval count; or the words have no say in this picture."""
Aligner = Literal["windows", "cls_rank1", "per_scale", "none"]
"""Which rows fit the sentences to a window: CLS and tokens of that window; its CLS alone; those of all windows of its
scale; or none, so that the sentences stay as they are."""


class AlfaSettings(WindowSettings):
    """ALFA; the paper gives the scales and the slope, `empty_policy` and `ridge` are ours."""

    contextual: bool = True
    """Whether sentences are chosen for each picture (the contextual scoring of table 3)."""
    empty_policy: EmptyPolicy = "vanilla"
    min_keep: Annotated[int, Field(ge=1)] = 1
    """Fewest sentences that a label is judged by."""
    eps: Annotated[float, Field(ge=0.0)] = 0.0
    """A sentence stays if it lies further than this outside the other label's interval; 1e-6 in half precision."""
    aligner: Aligner = "windows"
    ridge: Annotated[float, Field(gt=0.0)] = 1e-2
    """lambda of the aligner, as a fraction of the mean squared length of its rows."""
    include_global_scale: bool = False
    """Whether the score of the whole picture is one more scale of the map, as in WinCLIP."""
    use_templates: bool = True
    use_descriptions: bool = True
    """Whether what the bank says of the class counts."""
    use_defects: bool = True
    """Whether each defect word of the rule book makes an abnormal sentence."""
    bank: Bank = "auto"
    """Who describes the class."""
    language: LanguageSettings = LanguageSettings()
    """How a model is asked."""
    most_descriptors: Annotated[int, Field(ge=0)] = 5
    """Most sentences that are shown as reasons."""

    @model_validator(mode="after")
    def _has_sentences(self) -> Self:
        if not (self.use_templates or self.use_descriptions):
            raise ValueError("ALFA needs templates or descriptions; both are switched off")
        return self
