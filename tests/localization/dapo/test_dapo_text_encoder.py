import itertools
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from vlm_inspect.localization.dapo import text_encoder
from vlm_inspect.localization.dapo.learnables import HybridPrompts
from vlm_inspect.localization.dapo.settings import DapoSettings
from vlm_inspect.localization.dapo.text_encoder import ProgressiveTextEncoder, attention_mask, make_room
from vlm_inspect.localization.dapo.towers import TowerSizes
from vlm_inspect.localization.dual_encoder.encoder import DualEncoder, Sentences

SETTINGS = DapoSettings(prompts=3)
WORDS = ("scratch", "hole", "faulty imprint")


def prompts_over(encoder: DualEncoder, settings: DapoSettings = SETTINGS) -> HybridPrompts:
    text = encoder.text
    prompts = HybridPrompts(TowerSizes(text.width, text.blocks, text.joint, None, ()), settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        prompts.draw(text.embeddings)
    return prompts


def encode(encoder: DualEncoder, words: tuple[str, ...], settings: DapoSettings = SETTINGS) -> Tensor:
    with torch.no_grad():
        return ProgressiveTextEncoder(encoder.text, settings).encode(prompts_over(encoder, settings), words)


def test_states_are_unit_vectors_normal_first(encoder: DualEncoder) -> None:
    states = encode(encoder, WORDS)
    assert states.shape == (4, encoder.text.joint)
    torch.testing.assert_close(states.norm(dim=-1), torch.ones(4))
    torch.testing.assert_close(states[0], encode(encoder, ("dent",))[0])


def test_any_number_of_words_and_any_order(encoder: DualEncoder) -> None:
    states = encode(encoder, WORDS)
    for order in itertools.permutations(range(3)):
        shuffled = encode(encoder, tuple(WORDS[i] for i in order))
        torch.testing.assert_close(shuffled[1:], states[1:][list(order)])
    torch.testing.assert_close(encode(encoder, WORDS[:1])[1], states[1])  # padding of longer words plays no part


def test_one_state_is_the_mean_of_its_prompts_one_by_one(encoder: DualEncoder) -> None:
    """A naive loop: one sentence at a time, no padding, tokens put in by hand."""
    tower, prompts, alpha = encoder.text, prompts_over(encoder), SETTINGS.alpha
    sentence = tower.tokenize(["hole anomaly object"])
    end = int(sentence.ends[0])
    features = []
    with torch.no_grad():
        for context in prompts.abnormal_context:
            embedded = tower.embeddings[sentence.ids[0, : end + 1]]
            hidden = tower.enter(torch.cat([embedded[:1], context, embedded[1:]])[None])
            for number in range(1, tower.blocks + 1):
                new = prompts.layer_tokens[number - 1][None]
                old = hidden[:, 1:1] if number == 1 else hidden[:, 1:5]
                mixed = new if number == 1 else alpha * old + (1 - alpha) * new
                hidden = torch.cat([hidden[:, :1], mixed, hidden[:, 1 + old.shape[1] :]], dim=1)
                hidden = tower.block(number, hidden, None)
            last = torch.tensor([hidden.shape[1] - 1])
            features.append(tower.leave(hidden, last, torch.ones(1, hidden.shape[1], dtype=torch.bool))[0])
        wanted = torch.nn.functional.normalize(torch.stack(features).mean(0), dim=-1)
    torch.testing.assert_close(encode(encoder, ("hole",))[1], wanted, atol=1e-5, rtol=1e-4)


def test_small_chunks_change_nothing(encoder: DualEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encode(encoder, WORDS)
    monkeypatch.setattr(text_encoder, "CHUNK", 5)
    torch.testing.assert_close(encode(encoder, WORDS), whole)


def test_released_readout_sits_four_places_before_the_end(encoder: DualEncoder) -> None:
    """Causal, what stands behind that place cannot matter; without the mask it does."""

    def at(causal: bool, last_word: str) -> Tensor:
        wording = SETTINGS.wording.model_copy(update={"object_word": last_word})  # three tokens of two letters
        return encode(encoder, WORDS, DapoSettings(prompts=2, wording=wording, text_causal=causal, readout="released"))

    torch.testing.assert_close(at(True, "aabbcc"), at(True, "ddeeff"))
    assert not torch.allclose(at(False, "aabbcc"), at(False, "ddeeff"), atol=1e-4)


@pytest.mark.parametrize("causal", [False, True])
def test_end_readout_sees_the_last_word(encoder: DualEncoder, causal: bool) -> None:
    results = []
    for last_word in ("aabbcc", "ddeeff"):
        wording = SETTINGS.wording.model_copy(update={"object_word": last_word})
        results.append(encode(encoder, WORDS, DapoSettings(prompts=2, wording=wording, text_causal=causal)))
    assert not torch.allclose(*results, atol=1e-4)


def test_alpha_one_is_insert_once(encoder: DualEncoder) -> None:
    settings = DapoSettings(prompts=1, alpha=1.0)
    one, other = prompts_over(encoder, settings), prompts_over(encoder, settings)
    with torch.no_grad():
        other.layer_tokens[1:] = one.layer_tokens[1:].flip(-1)  # never looked at
        states = [ProgressiveTextEncoder(encoder.text, settings).encode(p, WORDS) for p in (one, other)]
        torch.testing.assert_close(states[0], states[1])
        other.layer_tokens[:1] = one.layer_tokens[:1].flip(-1)
        moved = ProgressiveTextEncoder(encoder.text, settings).encode(other, WORDS)
    assert not torch.allclose(states[0], moved, atol=1e-4)


class AveragingText:
    """The tiny text tower, read as BERT-like towers are: the mean over the words."""

    causal = False

    def __init__(self, tower: object) -> None:
        self._tower = tower
        self.masks: list[Tensor] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._tower, name)

    def leave(self, tokens: Tensor, ends: Tensor, mask: Tensor) -> Tensor:
        self.masks.append(mask)
        share = mask / mask.sum(1, keepdim=True)
        return (tokens * share[..., None]).sum(1)[:, :32]


def test_averaging_towers_average_over_the_words_without_layer_tokens(encoder: DualEncoder) -> None:
    tower = AveragingText(encoder.text)
    prompts = prompts_over(encoder)
    with torch.no_grad():
        both = ProgressiveTextEncoder(tower, SETTINGS).encode(prompts, WORDS)
        alone = ProgressiveTextEncoder(tower, SETTINGS).encode(prompts, WORDS[1:2])
    torch.testing.assert_close(both[2], alone[1])
    mask = tower.masks[0]
    assert not mask[:, 1:5].any()
    assert mask[:, 0].all()
    assert mask[0].sum() == 5 + encoder.text.tokenize(["flawless object"]).mask.sum()


def sentences(lists: Sequence[Sequence[int]]) -> Sentences:
    longest = max(map(len, lists))
    ends = torch.tensor([len(one) - 1 for one in lists])
    ids = torch.tensor([[*one, *[0] * (longest - len(one))] for one in lists])
    return Sentences(ids, ends, torch.arange(longest) <= ends[:, None])


def test_room_is_made_after_the_first_token() -> None:
    roomy = make_room(sentences([[7, 1, 2, 9], [7, 3, 9]]), ["a", "b"], 2, 77)
    assert roomy.ids[:, [0, 3, 4, 5]].tolist() == [[7, 1, 2, 9], [7, 3, 9, 0]]
    assert roomy.ends.tolist() == [5, 4]
    assert roomy.mask.tolist() == [[True] * 6, [True] * 5 + [False]]
    assert roomy.cut == ()


def test_what_does_not_fit_loses_its_end_but_keeps_the_end_token() -> None:
    roomy = make_room(sentences([[7, 1, 2, 3, 9], [7, 4, 9]]), ["long", "short"], 2, 6)
    assert roomy.ids[:, [0, 3, 4, 5]].tolist() == [[7, 1, 2, 9], [7, 4, 9, 0]]
    assert roomy.ends.tolist() == [5, 4]
    assert roomy.cut == ("long",)


def test_a_word_over_the_context_is_cut_and_named(encoder: DualEncoder) -> None:
    longest = " ".join(["discoloration"] * 20)
    tower = ProgressiveTextEncoder(encoder.text, SETTINGS)
    assert tower.cut_words(("hole", longest)) == (f"{longest} anomaly object",)
    barely = " ".join(["hole"] * 33)  # fits alone, but not with the learned tokens
    assert encoder.text.tokenize([f"{barely} anomaly object"]).cut == ()
    assert tower.cut_words((barely,)) == (f"{barely} anomaly object",)
    assert encode(encoder, ("hole", longest)).isfinite().all()


def test_masks_hide_padding_and_the_future() -> None:
    seen = torch.tensor([[True, True, False]])
    assert attention_mask(seen, False).squeeze().tolist() == [0.0, 0.0, -torch.inf]
    causal = attention_mask(seen, True)[0, 0]
    assert causal.isinf().tolist() == [[False, True, True], [False, False, True], [False, False, True]]
