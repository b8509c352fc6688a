"""`InspectorConfig`: from defaults, a file and the command line; what is wrong in a file names its key and line."""

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from vlm_inspect.command_options.inspector import inspector_options
from vlm_inspect.config import InspectorConfig, LocalizerConfig, ModelConfig, load_config
from vlm_inspect.decision.thresholds import Thresholds
from vlm_inspect.errors import ConfigError, LocalizerError, RuleError
from vlm_inspect.localization.memory_settings import MemorySettings
from vlm_inspect.prompting import PromptLimits

RULES = "class_name: nut\nrules:\n  - {id: clean, text: Clean.}\n"


@click.command()
@inspector_options
def show(config: InspectorConfig) -> None:
    """Write the configuration that the options make."""
    click.echo(config.model_dump_json())


def shown(*arguments: object, env: dict[str, str] | None = None) -> InspectorConfig:
    result = CliRunner().invoke(show, [str(one) for one in arguments], env=env, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return InspectorConfig.model_validate_json(result.stdout)


def written(folder: Path, text: str) -> Path:
    path = folder / "inspect.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_command_without_options_has_the_defaults() -> None:
    assert shown() == InspectorConfig()


def test_every_option_has_its_place() -> None:
    config = shown(
        "--rules", "r.yaml", "--reference", "a/*.png", "--model", "openai:x", "--base-url", "http://h/v1",
        "--timeout", 7, "--samples", 3, "--detail", "low", "--localizer", "alfa",
        "--eye", "fast", "--backbone", "dinov2", "--clip", "c",
        "--checkpoint", "k", "--device", "cpu", "--dtype", "float16", "--quantize", "8bit", "--trust-remote-code",
        "--calibration", "cal.json",
    )  # fmt: skip
    assert config == InspectorConfig(
        rules=Path("r.yaml"), references=("a/*.png",), device="cpu", calibration=Path("cal.json"),
        model=ModelConfig(
            name="openai:x", base_url="http://h/v1", timeout_s=7.0, samples=3, dtype="float16", quantize="8bit",
            trust_remote_code=True,
        ),
        localizer=LocalizerConfig(
            name="alfa", memory=MemorySettings(eye="fast", backbone="dinov2"), clip="c", checkpoint=Path("k")
        ),
        prompt=PromptLimits(detail="low"),
    )  # fmt: skip


def test_a_file_is_read_and_options_beside_it_count_more(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "rules: nut.yaml\nreferences: [good/*.png]\nmodel: openai:a\nlocalizer: {name: none}\nlook_again: true\n"
        "prompt: {references: 2}\nviews: {max_tiles: 3}\ntemplate: own\n",
    )
    config = shown("--config", path, "--samples", 5, env={"VLM_INSPECT_MODEL": "openai:env"})
    assert config.rules == tmp_path.resolve() / "nut.yaml"
    assert config.references == (str(tmp_path.resolve() / "good/*.png"),)
    assert config.model == ModelConfig(name="openai:a", samples=5)
    assert (config.localizer.name, config.look_again, config.template) == ("none", True, "own")
    assert (config.prompt.references, config.views.max_tiles) == (2, 3)
    assert shown("--config", path, "--model", "evidence").model.name == "evidence"
    assert shown(env={"VLM_INSPECT_MODEL": "openai:env"}).model.name == "openai:env"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: openai:a\nlocaliser: none\n", "line 2, localiser: unknown key; did you mean localizer?"),
        ("model:\n  name: a\n  sample: 3\n", "line 3, model.sample: unknown key; did you mean samples?"),
        ("prompt:\n  regions: 3\n  crop: 3\n", "line 3, prompt.crop: unknown key; did you mean crops?"),
        ("model: {name: openai:a, b}\n", "line 1, model.b: unknown key; a comma ends an unquoted text"),
        ("views: {grids: 2}\n", "line 1, views.grids: unknown key; did you mean grid?"),
        ("model: {samples: many}\n", "line 1, model.samples: "),
        ("model: {samples: '3'}\n", "line 1, model.samples: "),
        ("localizer:\n  alfa: {rigde: 2}\n", "line 2, localizer.alfa.rigde: unknown key; did you mean ridge?"),
        ("localizer:\n  dapo_mini:\n    sid: 2\n", "line 3, localizer.dapo_mini.sid: unknown key"),
        ("look_again: 2\n", "line 1, look_again: "),
        ("model: a\nmodel: b\n", "line 2, model: this key stands twice"),
        ("[1]\n", "line 1: a configuration is keys and values"),
        ("model: {timeout_s: .inf}\n", "line 1, model.timeout_s: "),
    ],
)
def test_what_is_wrong_in_a_file_is_one_line_with_key_and_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, text))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_none_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="is not a file"):
        load_config(tmp_path)
    (tmp_path / "inspect.yaml").write_bytes(b"model: \xff\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(tmp_path / "inspect.yaml")


def test_build_makes_the_inspector_and_finds_what_is_wrong_before_a_part_is_read(tmp_path: Path) -> None:
    (tmp_path / "nut.yaml").write_text(RULES, encoding="utf-8")
    inspector = InspectorConfig(rules=tmp_path / "nut.yaml", localizer=LocalizerConfig(name="none")).build()
    assert (inspector.rules.class_name, inspector.used_localizer, inspector.samples) == ("nut", None, 1)
    assert inspector.thresholds == Thresholds()
    with pytest.raises(LocalizerError, match="unknown localizer"):
        InspectorConfig(localizer=LocalizerConfig(name="eyes")).build()
    with pytest.raises(RuleError, match="no such rule file"):
        InspectorConfig(rules=tmp_path / "none.yaml").build()


def test_an_inspector_never_changes() -> None:
    inspector = InspectorConfig(localizer=LocalizerConfig(name="none")).build()
    with pytest.raises(AttributeError):
        inspector.template = "other"  # type: ignore[misc] # it is frozen


def test_a_record_holds_no_password_and_is_read_again() -> None:
    config = InspectorConfig(model=ModelConfig(name="openai:x", base_url="http://me:secret@h/v1"))
    told = json.dumps(config.as_record())
    assert "secret" not in told
    assert InspectorConfig.model_validate_json(told) == config.without_secrets()


def test_a_change_is_checked() -> None:
    config = InspectorConfig().with_changes(model={"samples": 4}, look_again=True)
    assert (config.model.samples, config.model.name, config.look_again) == (4, "evidence", True)
    wrong: Any = {"samples": 0}
    with pytest.raises(ValueError, match="samples"):
        config.with_changes(model=wrong)
