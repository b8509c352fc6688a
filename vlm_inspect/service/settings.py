"""`ServiceSettings`: what a service is started with."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vlm_inspect.config import InspectorConfig

if TYPE_CHECKING:
    from vlm_inspect.sinks.folders import OutcomeFolders
    from vlm_inspect.sinks.sender import Receiver
    from vlm_inspect.sinks.serial import SerialFinder

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
"""Names under which nobody but this machine reaches a service."""


@dataclass(frozen=True)
class Limits:
    """What one caller may ask of a service."""

    waiting: int = 64
    """Most accepted parts that wait, >= 1."""
    upload_bytes: int = 64 << 20
    """Most bytes of one part."""
    upload_s: float = 60.0
    """Longest time in which a request's body must have arrived, in seconds."""
    requests_per_minute: int = 600
    """Most requests of one token, or of this machine without tokens, a minute."""
    uploads: int = 64
    """Most parts that one person sends at the same time."""
    streams: int = 32
    """Most parts that one person follows at the same time, by server-sent events."""
    talks: int = 4
    """Most answers that are in the making at the same time."""


@dataclass(frozen=True)
class ServiceSettings:
    """What a service is started with.

    Attributes:
        rules: folder of the rule books, NAME.yaml, and of their calibrations, NAME.calibration.json; or one of them.
        data: folder of accepted parts, failures, coloured scans and the audit trail; one service at a time.
        config: how parts are inspected, rules and calibration apart.
        store: the store of cases, as `--store` names it.
        tokens: file of tokens (`tokens.py`); None: whoever reaches the service is its engineer.
        workers: threads that judge, >= 1.
        keep_input: whether the bytes of every part are kept with its case.
        hosts: names under which the service is reached; empty: any.
        limits: what one caller may ask.
        receivers: who is told of every part.
        folders: where the files of judged parts are moved; None: they go with the part.
        serial: how the serial number of a part is found that came without one; None: it has none then.
    """

    rules: Path
    data: Path
    config: InspectorConfig = field(default_factory=InspectorConfig)
    store: str | None = None
    tokens: Path | None = None
    workers: int = 1
    keep_input: bool = True
    hosts: tuple[str, ...] = LOCAL_HOSTS
    limits: Limits = field(default_factory=Limits)
    receivers: "Sequence[Receiver]" = ()
    folders: "OutcomeFolders | None" = None
    serial: "SerialFinder | None" = None
