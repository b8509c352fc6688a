"""`InspectorConfig`: every setting of an inspection, and `build()`, the one way from settings to an `Inspector`.

The command line, `bench`, `ablate`, the workers of a cluster, `chat` and `replay` all make their inspector here. A file
(`--config FILE`, YAML) may name every setting; unknown keys are errors that name the key and the line:

    rules: screw.yaml
    references: ["normal/*.ply"]
    model: {name: "openai:gpt-4o", samples: 3, timeout_s: 60}     # or: model: openai:gpt-4o
    localizer: {name: memory+alfa, clip: models/clip, alfa: {ridge: 0.02}}     # or: localizer: memory
    prompt: {detail: low, references: 2}
    look_again: true
"""

import difflib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from converters.view import ViewBudget
from vlm_inspect.agent.settings import AgentSettings
from vlm_inspect.backends import (
    DEFAULT_MODEL,
    Connection,
    Dtype,
    Placement,
    Quantization,
    asks_a_server,
    is_loaded_here,
    is_local,
    is_offline,
    load_backend,
)
from vlm_inspect.backends.endpoint import BASE_URL_VARIABLE
from vlm_inspect.backends.two_models import TwoModels
from vlm_inspect.calibration_file import load_thresholds
from vlm_inspect.clip_beginning import NormalSpan
from vlm_inspect.clip_windows import WindowSettings
from vlm_inspect.decision.thresholds import Thresholds
from vlm_inspect.errors import ConfigError
from vlm_inspect.inspector import ANY_PART, Inspector
from vlm_inspect.localization import AUTO, default_localizer, load_localizer
from vlm_inspect.localization.settings import LocalizerSettings
from vlm_inspect.prompting import PromptLimits
from vlm_inspect.qualification.settings import QualificationSettings
from vlm_inspect.real_path import real_path
from vlm_inspect.references import expand_references
from vlm_inspect.rules import RuleBook, load_rules, outside_references, resolve_references
from vlm_inspect.strict_yaml import MAX_BYTES, Document, Loc, YamlError, key_path, misread_text, read_yaml

if TYPE_CHECKING:
    from vlm_inspect.backends.backend import Backend
    from vlm_inspect.localization.localizer import Localizer

Device = Literal["auto", "cpu", "cuda"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelConfig(_Section):
    """Which model is asked, and how."""

    name: str = DEFAULT_MODEL
    """`evidence`, or PROVIDER:NAME."""
    base_url: str | None = None
    timeout_s: float = Field(default=120.0, ge=1.0, le=86_400.0)
    """Longest time of one attempt to get an answer, in seconds."""
    samples: int = Field(default=1, ge=1, le=20)
    """How often it is asked."""
    max_tokens: int | None = Field(default=None, ge=16, le=1_000_000)
    """Longest answer in tokens, thinking included; None: 4096 of a server, 1024 of an `hf:` model."""
    reasoning_effort: str | None = Field(default=None, min_length=1, max_length=40)
    """How much it shall think, in the server's words; None: as it does by itself."""
    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    """Further headers of every request to a server."""
    ca_file: Path | None = None
    """Certificates of the authorities to trust, as PEM; None: those of the system."""
    dtype: Dtype | None = None
    """Number type of an `hf:` model's weights; None: as stored."""
    quantize: Quantization | None = None
    trust_remote_code: bool = False

    @property
    def stays_here(self) -> bool:
        """Whether no picture leaves this machine: the model runs here, or its server does."""
        if is_local(self.name):
            return True
        server = self.base_url or os.environ.get(BASE_URL_VARIABLE, "")
        host = urlsplit(server).hostname or ""
        is_here = host in {"localhost", "::1"} or host.startswith("127.")
        return asks_a_server(self.name) and is_here

    def without_secrets(self) -> Self:
        """Return what a record may hold; see `InspectorConfig.without_secrets`."""
        told = self.model_copy(update={"headers": {}})
        return told.model_copy(update={"base_url": None}) if "@" in (self.base_url or "") else told

    def load(self, device: Device, most_pictures: int | None = None) -> "Backend":
        """Return the model, of a server asked with so many pictures at most; raises what `load_backend` raises."""
        connection = Connection(
            self.base_url,
            self.timeout_s,
            max_tokens=self.max_tokens,
            reasoning_effort=self.reasoning_effort,
            most_pictures=most_pictures,
            headers=self.headers,
            ca_file=self.ca_file,
        )
        return load_backend(self.name, placement=self._placement(device), connection=connection)

    def _placement(self, device: Device) -> Placement | None:
        """Return how a model is loaded here; None for the others, unless what they cannot have is asked for."""
        if not (is_loaded_here(self.name) or self.dtype or self.quantize or self.trust_remote_code):
            return None
        return Placement(device, self.dtype or "auto", self.quantize, self.trust_remote_code)


class LocalizerConfig(LocalizerSettings):
    """What makes the heatmaps, and with what settings."""

    name: str = AUTO
    """A localizer, a sum such as memory+dapo, `none`, or `auto`: what fits the references."""

    def load(self, device: Device, *, has_references: bool, language: "Backend | None" = None) -> "Localizer | None":
        """Return the localizer; None for `none`.

        Args:
            device: where text-driven localizers run.
            has_references: what `auto` depends on.
            language: the model that may word ALFA's prompts; None: they come from the bank.

        Raises:
            LocalizerError: the name is unknown, or the weights cannot be used.
        """
        name = default_localizer(has_references=has_references) if self.name == AUTO else self.name
        return load_localizer(name, self, device=device, language=language)


class InspectorConfig(_Section):
    """Every setting of an inspection."""

    rules: Path | None = None
    """Rule book of the class; None: any part."""
    references: tuple[str, ...] = ()
    """Paths and patterns of normal samples, beside those that the rule book names."""
    allow_outside: bool = False
    """Whether pictures of references that the rule book names outside its folder may be sent to a remote model."""
    model: ModelConfig = ModelConfig()
    localizer: LocalizerConfig = LocalizerConfig()
    device: Device = "auto"
    """Where `hf:` models and text-driven localizers run."""
    calibration: Path | None = None
    template: str = "inspect"
    """Name of a prompt in `prompts/`, or a file."""
    prompt: PromptLimits = PromptLimits()
    """Sizes and numbers of the pictures in a prompt."""
    views: ViewBudget = ViewBudget()
    """How many pictures a part may become."""
    look_again: bool = False
    """Whether the model is asked a second time, with the most suspicious places enlarged."""
    agent: AgentSettings = AgentSettings()
    """Whether the model works in steps, with tools, before it judges, and within which limits."""
    normal_until: str | None = None
    """How much of a clip's own beginning is normal: a number of frames (60), or of seconds (6s); None: nothing."""
    windows: WindowSettings = WindowSettings()
    """Into how many windows a long clip is cut; a model is asked about each by itself."""

    @field_validator("normal_until", mode="before")
    @classmethod
    def _check_span(cls, value: Any) -> str | None:
        return None if value is None else str(NormalSpan.parse(str(value)))

    refuter: ModelConfig | None = None
    """A second model, which tries to refute what the first supposes; None: the first does so itself."""
    qualification: QualificationSettings = QualificationSettings()
    """Which errors are allowed, and how many defects are planted to learn the bounds of OK and NG."""

    def build(self, *, backend: "Backend | None" = None) -> Inspector:
        """Return the inspector; whatever can be wrong with it is found here, before a part is read.

        Args:
            backend: in place of the model that is named.

        Raises:
            RuleError, CalibrationError, LocalizerError, BackendError, PromptError, ConversionError: a setting, or the
                file that it names, cannot be used.
        """
        rules = self.load_rules()
        paths = tuple(dict.fromkeys([*self._of_book(rules), *expand_references(self.references)]))
        model = backend or self.load_model()
        refuter = self.load_refuter()
        span = None if self.normal_until is None else NormalSpan.parse(self.normal_until)
        localizer = None
        if span is None or paths or self.localizer.name != AUTO:  # a clip's beginning alone needs no other localizer
            localizer = self.load_localizer(model, has_references=bool(paths) or span is not None)
        return Inspector(
            rules=rules,
            references=paths,
            backend=model if refuter is None else TwoModels(model, refuter),
            localizer=localizer,
            template=self.template,
            thresholds=self._load_thresholds(rules, localizer, paths),
            budget=self.views,
            samples=self.model.samples,
            limits=self.prompt,
            look_again=self.look_again,
            agent=self.agent,
            normal_until=span,
            windows=self.windows,
            qualification=self.qualification,
        )

    def load_rules(self) -> RuleBook:
        """Return the rule book; that of any part where none is named."""
        return ANY_PART if self.rules is None else load_rules(self.rules)

    def load_model(self) -> "Backend":
        """Return the model alone; raises what `load_backend` raises."""
        return self.model.load(self.device, self.prompt.pictures)

    def load_refuter(self) -> "Backend | None":
        """Return the second model, None where there is none; raises what `load_backend` raises, and ConfigError."""
        told = self.refuter
        if told is None:
            return None
        if not (self.agent.enabled and self.agent.refutation):
            raise ConfigError("refuter: it tries an agent's hypotheses; add --agent, with refutation")
        if is_offline(told.name) or is_offline(self.model.name):
            raise ConfigError("refuter: the evidence model reads no picture; name two language models")
        if asks_a_server(told.name) and asks_a_server(self.model.name) and told.base_url is None:
            shared = ("base_url", "timeout_s", "max_tokens", "headers", "ca_file")
            told = told.model_copy(update={name: getattr(self.model, name) for name in shared})
        return told.load(self.device, self.prompt.pictures)

    def load_localizer(self, model: "Backend", *, has_references: bool) -> "Localizer | None":
        """Return the localizer alone, None for `none`; raises what `load_localizer` raises.

        Args:
            model: may word ALFA's prompts, where it has a language.
            has_references: what `auto` depends on.
        """
        language = None if is_offline(model.name) else model
        return self.localizer.load(self.device, has_references=has_references, language=language)

    def _of_book(self, rules: RuleBook) -> list[Path]:
        """Return the references of the rule book; none from elsewhere may be sent away unasked."""
        named = resolve_references(rules)
        models = [self.model, *([self.refuter] if self.refuter is not None else [])]
        if self.allow_outside or all(one.stays_here for one in models):
            return named
        if outside := outside_references(rules, named):
            raise ConfigError(
                f"the rule book names {len(outside)} reference(s) outside its folder, such as {outside[0]}, whose "
                f"pictures would be sent to {self.model.name}; copy them beside it, or allow it with --allow-outside"
            )
        return named

    def _load_thresholds(self, rules: RuleBook, localizer: "Localizer | None", paths: Sequence[Path]) -> Thresholds:
        if self.calibration is None:
            return Thresholds()
        name = "none" if localizer is None else localizer.name
        return load_thresholds(self.calibration, rules, name, paths, self.views, model=self.model.name)

    @property
    def asks_a_model(self) -> bool:
        """Whether a language model is asked; the offline report reads no prompt."""
        return not is_offline(self.model.name)

    def with_changes(self, **changes: Any) -> Self:
        """Return the configuration with other values, checked; a section is changed by a mapping of its fields."""
        return type(self).model_validate(_merge(self.model_dump(), changes))

    def relative_to(self, folder: Path) -> Self:
        """Return a configuration whose relative paths begin in a folder."""
        checkpoint, ca_file = self.localizer.checkpoint, self.model.ca_file
        further: dict[str, Any] = {}
        if self.refuter is not None and self.refuter.ca_file is not None:
            further["refuter"] = {"ca_file": folder / self.refuter.ca_file}
        return self.with_changes(
            rules=None if self.rules is None else folder / self.rules,
            references=tuple(str(folder / one) for one in self.references),
            calibration=None if self.calibration is None else folder / self.calibration,
            localizer={"checkpoint": None if checkpoint is None else folder / checkpoint},
            model={"ca_file": None if ca_file is None else folder / ca_file},
            **further,
        )

    def without_secrets(self) -> Self:
        """Return what a record may hold: headers, and an address that names a user and so a password, are left out."""
        told: dict[str, Any] = {"model": self.model.without_secrets()}
        if self.refuter is not None:
            told["refuter"] = self.refuter.without_secrets()
        return self.model_copy(update=told)

    def as_record(self) -> dict[str, Any]:
        """Return the settings as JSON values for a record; see `without_secrets`."""
        return self.without_secrets().model_dump(mode="json")


def _merge(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for key, value in changes.items():
        section = merged.get(key)
        merged[key] = _merge(section, value) if isinstance(section, dict) and isinstance(value, Mapping) else value
    return merged


def config_folder() -> Path:
    """Return the folder of the configurations that ship: inside the installed package, else at the top of the source.

    Raises:
        ConfigError: neither exists; the installation is broken.
    """
    package = real_path(__file__).parent
    for folder in (package / "configs", package.parent / "configs"):
        if (folder / "winclip.yaml").is_file():
            return folder
    raise ConfigError(f"no configurations beside {package}; reinstall vlm-inspect")


def load_config(path: Path) -> InspectorConfig:
    """Return the configuration of a YAML file; its paths are relative to the file's folder.

    A bare name that is no file is one of those that ship: "winclip", "alfa-scale-2".

    Raises:
        ConfigError: the file cannot be read, or says something that a configuration cannot; one line with file, line
            and key.
    """
    try:
        if not path.exists() and path.name == str(path) and not path.suffix:
            path = config_folder() / f"{path}.yaml"
        if not path.is_file():
            raise ConfigError(
                f"{path}: {'is not a file' if path.exists() else 'no such file'}; name a YAML file with --config"
            )
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path} is larger than {MAX_BYTES >> 20} MB; a configuration is a short text")
        document = read_yaml(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text; save it as UTF-8") from error
    except YamlError as error:
        where = f", {error.key}" if error.key else ""
        raise ConfigError(f"{path}, line {error.line}{where}: {error}") from error
    if not isinstance(document.data, dict):
        raise ConfigError(f"{path}, line 1: a configuration is keys and values (model: ...)")
    try:  # as JSON, so that a text is a path and a list a tuple, and yet "3" is no number
        config = InspectorConfig.model_validate_json(
            json.dumps(_with_sections(document.data), default=str), strict=True
        )
    except ValidationError as error:
        raise ConfigError(_in_words(error, document, path)) from error
    return config.relative_to(real_path(path).parent)


def _with_sections(data: Mapping[str, Any]) -> dict[str, Any]:
    """Let a name stand for a section: `model: openai:gpt-4o`."""
    return {
        key: {"name": value} if key in ("model", "localizer") and isinstance(value, str) else value
        for key, value in data.items()
    }


def _in_words(error: ValidationError, document: Document, path: Path) -> str:
    """Return the first thing that is wrong, by line, in one line."""
    found = min(error.errors(include_url=False), key=lambda item: document.line(item["loc"]))
    loc: Loc = found["loc"]
    message = _message(found["type"], loc, found["msg"], found["input"])
    return f"{path}, line {document.line(loc)}, {key_path(loc) or 'configuration'}: {message}"


def _message(kind: str, loc: Loc, message: str, value: Any) -> str:
    if kind not in {"extra_forbidden", "unexpected_keyword_argument"}:
        return message[:1].lower() + message[1:].removeprefix("alue error, ")
    known = _keys_at(loc[:-1])
    near = difflib.get_close_matches(str(loc[-1]), known, n=1)
    if near:
        return f"unknown key; did you mean {near[0]}?"
    return f"unknown key; {misread_text(str(loc[-1]), value) or 'known here: ' + ', '.join(known)}"


def _keys_at(loc: Loc) -> list[str]:
    """Return the keys that may stand at a place."""
    schema: Any = InspectorConfig.model_json_schema()
    definitions, here = schema["$defs"], schema
    for part in loc:
        here = here.get("properties", {}).get(part, {})
        reference = here.get("$ref") or next((one["$ref"] for one in here.get("allOf", ()) if "$ref" in one), "")
        here = definitions.get(reference.rpartition("/")[2], here)
    return list(here.get("properties", {}))
