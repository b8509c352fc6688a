"""`Alfa`: judges pictures by sentences that are chosen for each picture and fitted to each window."""

from collections.abc import Sequence
from dataclasses import dataclass

from vlm_inspect.array_cache import ArrayCache, key_of, user_cache
from vlm_inspect.evidence import Phrases
from vlm_inspect.localization.alfa.scoring import AlfaScores, SentenceFeatures, score_pictures
from vlm_inspect.localization.alfa.settings import AlfaSettings
from vlm_inspect.localization.dual_encoder.encoder import DualEncoder, Rgb
from vlm_inspect.localization.picture_judge import PictureScores
from vlm_inspect.localization.prompt_bank.embeddings import MOST_TOKENS, embed, token_counts
from vlm_inspect.localization.prompt_bank.ensembles import PromptSet, alfa_prompts, defect_prompts
from vlm_inspect.localization.prompt_bank.written_bank import Description, DescriptionSource, WrittenBank
from vlm_inspect.localization.subject import Subject
from vlm_inspect.localization.winclip.picture_features import NormalFeatures, recall_normals, see_in_batches

VERSION = "1"
"""Changes whenever equal settings would no longer give equal scores."""


@dataclass(frozen=True, eq=False)
class _Sentences:
    """A class's sentences, their features, and what an engineer should know of them."""

    prompts: PromptSet
    features: SentenceFeatures
    telling: frozenset[str]
    """The abnormal sentences that name what is wrong; templates only say that something is."""
    notes: tuple[str, ...]


class Alfa:
    """Judges pictures by words; normal pictures sharpen its map, not its global score."""

    name = "alfa"
    uses_normals = True
    normal_spread = 0.1
    """A guess: scores stay near 0.5, so that little moves them."""

    def __init__(
        self,
        encoder: DualEncoder,
        settings: AlfaSettings | None = None,
        bank: DescriptionSource | None = None,
        cache: ArrayCache | None = None,
    ) -> None:
        """Judge with these towers.

        Args:
            encoder: the towers.
            settings: None: the defaults.
            bank: who describes the class; None: the bank that ships.
            cache: where features of sentences and normal pictures are kept; None: the user's.
        """
        self._encoder = encoder
        self._settings = settings or AlfaSettings()
        self._bank = bank or WrittenBank()
        self._cache = cache or user_cache()

    @property
    def identity(self) -> str:
        """Weights, bank and settings."""
        settings = self._settings.model_dump_json()
        return key_of("alfa", VERSION, self._encoder.identity, self._bank.identity, settings)

    def vocabulary(self, subject: Subject) -> tuple[str, ...]:
        """Return no words: its sentences are those of the bank, and defects only join them."""
        return ()

    def fit(self, subject: Subject, normals: Sequence[Rgb] = ()) -> "FittedAlfa":
        """See `PictureJudge.fit`: the class's sentences, and the memory of normal pictures.

        Raises:
            LocalizerError: see `PictureJudge.fit`.
            BackendError: the model that describes the class cannot be reached.
        """
        memory = recall_normals(self._encoder, normals, self._settings, self._cache) if normals else None
        return FittedAlfa(self._encoder, self._settings, self._sentences_of(subject), memory)

    def _sentences_of(self, subject: Subject) -> _Sentences:
        """Return templates, descriptions, and the rule book's defects, with their features."""
        settings, name = self._settings, subject.class_name
        described = self._bank.describe(name) if settings.use_descriptions else Description(PromptSet((), ()))
        short, dropped = self._without_long(described.prompts)
        if settings.use_defects:
            short += defect_prompts(name, subject.defects)
        prompts = (alfa_prompts(name) if settings.use_templates else PromptSet((), ())) + short
        if not prompts.normal or not prompts.abnormal:
            prompts = alfa_prompts(name) + prompts  # every description was too long for the tower
        embedded = embed(self._encoder, prompts.all, self._cache)
        count = len(prompts.normal)
        features = SentenceFeatures(embedded.features[:count], embedded.features[count:])
        notes = described.notes + dropped + embedded.notes
        return _Sentences(prompts, features, frozenset(short.abnormal), notes)

    def _without_long(self, prompts: PromptSet) -> tuple[PromptSet, tuple[str, ...]]:
        """Return the descriptions that the text tower reads well, and a note where some are too long."""
        most = min(MOST_TOKENS, self._encoder.text.context - 2)
        counts = dict(zip(prompts.all, token_counts(self._encoder, prompts.all), strict=True))
        short = PromptSet(
            tuple(sentence for sentence in prompts.normal if counts[sentence] <= most),
            tuple(sentence for sentence in prompts.abnormal if counts[sentence] <= most),
        )
        dropped = len(prompts.all) - len(short.all)
        note = f"{dropped} of {len(prompts.all)} descriptions have more than {most} tokens and were left out"
        return short, (note,) if dropped else ()


@dataclass(frozen=True, eq=False)
class FittedAlfa:
    """ALFA for one class."""

    encoder: DualEncoder
    settings: AlfaSettings
    sentences: _Sentences
    memory: NormalFeatures | None

    def judge(self, pictures: Sequence[Rgb]) -> list[PictureScores]:
        """See `FittedJudge.judge`; the score is eq. 12, the mean of the whole picture's and of the highest place's."""
        aligned = self.settings.aligner != "none"
        scored = [
            score_pictures(seen, self.sentences.features, self.memory, self.settings)
            for seen in see_in_batches(self.encoder, pictures, self.settings, with_values=aligned)
        ]
        return [
            PictureScores(
                score=float(scores.score[row]),
                heat=scores.heat[row].cpu().numpy(),
                phrases=Phrases(self._reasons(scores, row), float(scores.normal_similarity[row])),
                fallback=_fallback(scores, row, self.settings),
                notes=self.sentences.notes,
            )
            for scores in scored
            for row in range(len(scores.score))
        ]

    def _reasons(self, scores: AlfaScores, row: int) -> tuple[tuple[str, float], ...]:
        """Return the abnormal sentences that count for a picture and are nearest to it, with their cosines.

        Only those that name what is wrong; where none of them counts, the templates that do.
        """
        rows = zip(
            self.sentences.prompts.abnormal,
            scores.similarity[row].tolist(),
            scores.kept.abnormal[row].tolist(),
            strict=True,
        )
        counting = [(sentence, similarity) for sentence, similarity, kept in rows if kept]
        telling = [pair for pair in counting if pair[0] in self.sentences.telling]
        ranked = sorted(telling or counting, key=lambda pair: -pair[1])
        return tuple(ranked[: self.settings.most_descriptors])


def _fallback(scores: AlfaScores, row: int, settings: AlfaSettings) -> str:
    """Say of a picture that falls back which label starved and what was done; "" of any other."""
    starved = {"normal": scores.kept.starved_normal[row], "abnormal": scores.kept.starved_abnormal[row]}
    labels = " and ".join(label for label, flag in starved.items() if bool(flag))
    if not labels:
        return ""
    done = {
        "vanilla": "all of them were used",
        "extreme": f"the {settings.min_keep} nearest to telling the labels apart were used",
        "abstain": "the words had no say",
    }[settings.empty_policy]
    return f"no {labels} sentence tells the labels apart on this picture; {done}"
