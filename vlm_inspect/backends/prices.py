"""What an answer costs: price tables by server and model, the user's own before those that come with the program.

A price that is not known is None, never zero: a wrong sum is worse than none.
"""

import datetime
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vlm_inspect.errors import BackendError
from vlm_inspect.file_patterns import in_home
from vlm_inspect.strict_yaml import YamlError, read_yaml

ENVIRONMENT = "VLM_INSPECT_PRICES"
"""Names the user's own file of prices."""
_TOKENS = 1_000_000
_SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8})$")
Usd = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Price(_Strict):
    """What one model costs, in USD per million tokens."""

    id: str = Field(min_length=1)
    input: Usd
    output: Usd
    cached_input: Usd | None = None
    """Input that the server had read before; None: as any input."""

    def cost_usd(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
        """Return the price of a call; the cached tokens are among those of the prompt."""
        cached = min(max(0, cached_tokens), prompt_tokens)
        cached_input = self.input if self.cached_input is None else self.cached_input
        new = prompt_tokens - cached
        return (new * self.input + cached * cached_input + completion_tokens * self.output) / _TOKENS


class PriceTable(_Strict):
    """Prices of one seller, with the page that they come from and the day on which it said so."""

    source: str = Field(min_length=1)
    date: datetime.date
    hosts: tuple[str, ...] = ("*",)
    """Servers that charge them."""
    models: tuple[Price, ...]

    def find(self, model: str, host: str) -> Price | None:
        """Return the price of a model at a server, or None."""
        if not any(fnmatchcase(host.lower(), pattern.lower()) for pattern in self.hosts):
            return None
        for name in dict.fromkeys((model, _SNAPSHOT.sub("", model))):
            for price in self.models:
                if fnmatchcase(name, price.id):
                    return price
        return None


class _File(_Strict):
    tables: tuple[PriceTable, ...]


@dataclass(frozen=True)
class Prices:
    """Price tables, in the order in which they are asked."""

    tables: tuple[PriceTable, ...]

    def find(self, models: Sequence[str], host: str) -> Price | None:
        """Return the price of the first of these names of one model that a table knows, or None."""
        for table in self.tables:
            for model in models:
                if model and (price := table.find(model, host)) is not None:
                    return price
        return None


def load_prices() -> Prices:
    """Return the user's tables, then those that come with the program.

    Raises:
        BackendError: a file is missing, or is none of prices.
    """
    own = own_file()
    mine = () if own is None else read_tables(own)
    return Prices((*mine, *read_tables(Path(__file__).with_suffix(".yaml"))))


def own_file() -> Path | None:
    """Return the user's own file: that of VLM_INSPECT_PRICES, else the one in the configuration folder, else None."""
    named = os.environ.get(ENVIRONMENT)
    if named:
        return in_home(named)
    usual = usual_file()
    return usual if usual.is_file() else None


def usual_file() -> Path:
    """Return the place in the user's configuration folder where a file of prices is looked for."""
    from platformdirs import user_config_path

    return user_config_path("vlm-inspect", appauthor=False) / "prices.yaml"


def read_tables(path: Path) -> tuple[PriceTable, ...]:
    """Read one file of prices.

    Raises:
        BackendError: it cannot be read, or does not have the form.
    """
    try:
        document = read_yaml(path.read_text(encoding="utf-8"))
        return _File.model_validate(document.data).tables
    except (OSError, UnicodeDecodeError) as error:
        told = getattr(error, "strerror", None) or "is no UTF-8 text"
        raise BackendError(f"{path}: {told}; correct the file of prices, or unset {ENVIRONMENT}") from error
    except YamlError as error:
        raise BackendError(f"{path}, line {error.line}: {error}; correct the file of prices") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "top level"
        line = document.line(first["loc"])
        raise BackendError(f"{path}, line {line}: {place}: {first['msg']}; correct the prices") from error
