"""Every setting of every localizer: typed, refused where unknown, read back from a record, and used."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from vlm_inspect.array_cache import ENVIRONMENT
from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization import load_localizer
from vlm_inspect.localization.dapo.settings import DapoChoices, DapoMiniSettings
from vlm_inspect.localization.memory import ReferenceMemory
from vlm_inspect.localization.settings import LocalizerSettings
from vlm_inspect.localization.text_localizer import TextLocalizer

GIVEN = {
    "clip": "models/clip",
    "memory": {"backbone": "dinov2", "capacity": 900, "place_weight": 0},
    "winclip": {"temperature": 0.01, "scales": [2, 3, 4]},
    "alfa": {
        "aligner": "none",
        "contextual": False,
        "use_templates": False,
        "bank": "written",
        "language": {"samples": 3},
    },
    "dapo": {"prompts": 5, "context": 3, "alpha": 0.1, "local_weight": 2, "words": ["dent"]},
    "dapo_mini": {"sides": [256]},
    "promptad": {"weights": {"contrastive": 0.2}, "pooling": "top"},
}


def test_what_is_given_holds_and_is_read_back_from_the_record() -> None:
    settings = LocalizerSettings.model_validate(GIVEN)
    assert settings.alfa.language.samples == 3
    assert settings.dapo.numbers.local_weight == 2
    assert settings.winclip.scales == (2, 3, 4)
    assert settings.promptad.weights.margin == 0.1
    assert LocalizerSettings.model_validate_json(settings.model_dump_json()) == settings
    assert LocalizerSettings() != settings


def _sections(settings: BaseModel, where: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    inner = [(name, value) for name, value in settings if isinstance(value, BaseModel)]
    return [where, *(path for name, value in inner for path in _sections(value, (*where, name)))]


@pytest.mark.parametrize("where", _sections(LocalizerSettings()))
def test_an_unknown_key_is_refused_everywhere(where: tuple[str, ...]) -> None:
    wrong: Mapping[str, object] = {"no_such_key": 1}
    for name in reversed(where):
        wrong = {name: wrong}
    with pytest.raises(ValidationError) as caught:
        LocalizerSettings.model_validate(wrong)
    assert any(error["loc"] == (*where, "no_such_key") for error in caught.value.errors())


@pytest.mark.parametrize(
    "wrong",
    [
        {"memory": {"capacity": 0}},
        {"memory": {"least_pixels": 90_000, "most_pixels": 80_000}},
        {"dapo": {"alpha": 2}},
        {"dapo_mini": {"sides": []}},
        {"alfa": {"bank": "nobody"}},
    ],
)
def test_impossible_values_are_refused(wrong: Mapping[str, object]) -> None:
    with pytest.raises(ValidationError):
        LocalizerSettings.model_validate(wrong)


def test_they_reach_the_localizers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path))
    memory = load_localizer("memory", LocalizerSettings.model_validate({"memory": {"capacity": 123}}))
    assert isinstance(memory, ReferenceMemory)
    assert memory._settings.capacity == 123
    mini = [
        load_localizer(
            "dapo", LocalizerSettings(dapo=DapoChoices(words=words), dapo_mini=DapoMiniSettings(sides=(256,)))
        )
        for words in ((), ("dent", "hole"))
    ]
    identities = []
    for one in mini:
        assert isinstance(one, TextLocalizer)
        identities.append(one._judge.identity)
    assert identities[0] != identities[1]
    assert all("at 256 px" in identity for identity in identities)


def test_a_trained_network_takes_no_other_numbers() -> None:
    with pytest.raises(LocalizerError, match=r"dapo\.context: 9 is asked for, and dapo-mini was trained with 5"):
        load_localizer("dapo", LocalizerSettings(dapo=DapoChoices(context=9)))
    with pytest.raises(LocalizerError, match=r"dapo\.side belongs to DAPO over CLIP"):
        load_localizer("dapo", LocalizerSettings(dapo=DapoChoices(side=518)))
