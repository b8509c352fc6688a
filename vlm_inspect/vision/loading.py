"""From the name of a network to the thing itself."""

from functools import lru_cache

from vlm_inspect.vision.network import Network
from vlm_inspect.vision.runtime import Runtime, choose_runtime


def load_network(name: str, runtime: Runtime | None = None) -> Network:
    """Return the network called `name`: "lite0", "dinov2", or a transformers model's folder or id; loaded once.

    Raises:
        LocalizerError: its library or weights are missing; the message names what to install.
    """
    return _load(name, runtime or choose_runtime())


@lru_cache(maxsize=4)
def _load(name: str, runtime: Runtime) -> Network:
    if name == "lite0":
        from vlm_inspect.vision.lite0 import load_lite0

        return load_lite0(runtime)
    if name == "dinov2":
        from vlm_inspect.vision.dinov2 import load_dinov2

        return load_dinov2(runtime)
    from vlm_inspect.vision.transformers_model import load_transformers

    return load_transformers(name)
