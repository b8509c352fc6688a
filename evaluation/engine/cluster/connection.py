"""The way to a Ray cluster: one that is there, or one of this machine that lives as long as the run."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from evaluation.errors import RunError

_REACHED_WITHIN_S = 10.0


def check_installed() -> None:
    """Make sure that Ray is there.

    Raises:
        RunError: it is not.
    """
    if find_spec("ray") is None:
        raise RunError("--engine ray needs Ray: pip install 'vlm-inspect[ray]'")


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """Give the library, connected to a cluster.

    Args:
        address: HOST:PORT of a cluster; None: one on this machine, or that which this process is connected to.

    Raises:
        RunError: Ray is not installed, or the cluster cannot be reached.
    """
    check_installed()
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"):
        os.environ.setdefault(name, "0")  # tell nobody of this run; and no remark on GPUs that no worker asked for
    ray: Any = import_module("ray")
    if address is not None:
        _check_reachable(address)
        if ray.is_initialized():
            raise RunError("--ray-address: this process is connected to a Ray cluster already; leave the option out")
    own = not ray.is_initialized()
    if own:
        _connect(ray, address)
    try:
        yield ray
    finally:
        if own:
            ray.shutdown()


def _connect(ray: Any, address: str | None) -> None:
    """Raises RunError where there is no cluster at this address, or none can be started."""
    told: dict[str, Any] = {} if address else {"include_dashboard": False}
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **told)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        where = f"--ray-address {address}: the cluster cannot be used" if address else "Ray cannot be started here"
        raise RunError(
            f"{where} ({str(error).strip().splitlines()[0]}); see `ray status`, and RAY_AUTH_TOKEN"
        ) from error


def _check_reachable(address: str) -> None:
    """Raises RunError where nothing listens at an address: Ray itself would try for minutes, then end the process."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        raise RunError(f"--ray-address {address} is not HOST:PORT, such as 10.0.0.1:6379")
    try:
        socket.create_connection((host, int(port)), timeout=_REACHED_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        raise RunError(
            f"--ray-address {address} cannot be reached ({error}); start it with: ray start --head"
        ) from error
