"""`DapoModel`: frozen towers with DAPO's learned tensors, from words and pictures to probabilities."""

from typing import TYPE_CHECKING

from vlm_inspect.localization.dapo.head import DapoOutput, judge_tokens
from vlm_inspect.localization.dapo.learnables import DapoLearnables
from vlm_inspect.localization.dapo.settings import DapoSettings
from vlm_inspect.localization.dapo.text_encoder import ProgressiveTextEncoder
from vlm_inspect.localization.dapo.towers import DapoTowers, sizes_of

if TYPE_CHECKING:
    from torch import Tensor


class DapoModel:
    """Towers, settings and learned tensors; knows no vocabulary of its own."""

    def __init__(self, towers: DapoTowers, settings: DapoSettings, *, seed: int = 0) -> None:
        """Draw fresh tensors over the towers, on their device."""
        self.towers = towers
        self.settings = settings
        self.learnables = DapoLearnables(sizes_of(towers), settings)
        self.learnables.draw(towers.text.embeddings, seed)
        self.learnables.to(towers.device)
        self.text_encoder = ProgressiveTextEncoder(towers.text, settings)

    def encode_words(self, words: tuple[str, ...]) -> "Tensor":
        """Return the states (1 + K, J), float32 unit vectors: normal, then each word. They depend on no picture.

        Raises:
            LocalizerError: a word holds nothing that the text tower knows.
        """
        return self.text_encoder.encode(self.learnables.prompts, words)

    def look(self, pixels: "Tensor", states: "Tensor") -> DapoOutput:
        """Return what is seen on pictures (B, 3, side, side) of the states (1 + K, J)."""
        tokens = self.towers.path.encode(pixels, self.learnables.visual_tokens)
        return judge_tokens(tokens, self.learnables, states, self.settings.temperature)
