import numpy as np
import pytest

from vlm_inspect.errors import LocalizerError
from vlm_inspect.vision import load_network
from vlm_inspect.vision.dinov2 import read_weights, weights_of_onnx

NETWORKS = {"lite0": (64, 96), "dinov2": (70, 98)}
"""Name and picture size; sides are multiples of 16 and of 14."""


def picture(size_hw, seed=0):
    import cv2

    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, size_hw[::-1], interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("name", NETWORKS)
def test_openvino_and_torch_see_the_same(name):
    pytest.importorskip("openvino")
    seen = {runtime: load_network(name, runtime).extract([picture(NETWORKS[name])])[0] for runtime in RUNTIMES}
    for ours, theirs in zip(seen["openvino"].layers, seen["torch"].layers, strict=True):
        cosine = (ours * theirs).sum(-1) / np.linalg.norm(ours, axis=-1) / np.linalg.norm(theirs, axis=-1)
        # bf16, where the processor has it, rounds to 3 digits; 1 - cosine of different patches is 0.1 and more
        assert cosine.min() > 0.998
    if "f32" in load_network(name, "openvino").identity:
        assert np.allclose(seen["openvino"].layers[0], seen["torch"].layers[0], atol=1e-3)


RUNTIMES = ("openvino", "torch")


@pytest.mark.parametrize("name", NETWORKS)
def test_pictures_of_several_sizes_come_back_in_their_order(name):
    network = load_network(name)
    height, width = NETWORKS[name]
    small = height - network.multiple, width
    pictures = [picture((height, width), 1), picture(small, 2), picture((height, width), 3)]
    together = network.extract(pictures)
    for one, found in zip(pictures, together, strict=True):
        alone = network.extract([one])[0]
        assert found.layers[0].shape == alone.layers[0].shape
        assert np.abs(found.layers[0] - alone.layers[0]).max() < 0.1


@pytest.mark.parametrize("name", NETWORKS)
def test_a_grid_covers_the_picture_evenly(name):
    network = load_network(name)
    height, width = NETWORKS[name]
    plain = np.full((height, width, 3), 90, np.uint8)
    marked = plain.copy()
    marked[: height // 4, -width // 4 :] = 220
    before, after = network.extract([plain, marked])
    change = np.linalg.norm(after.layers[0] - before.layers[0], axis=-1)
    rows, columns = np.unravel_index(change.argmax(), change.shape)
    assert rows < change.shape[0] / 2
    assert columns > change.shape[1] / 2


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_are_what_they_say(name):
    network = load_network(name)
    found = network.extract([picture(NETWORKS[name])])[0]
    assert [layer.shape[2] for layer in found.layers] == [sum(layer.channels) for layer in network.layers]
    assert network.identity.startswith(name)


def test_a_picture_smaller_than_the_mirrored_border_is_seen():
    assert load_network("lite0").extract([picture((32, 32))])[0].layers[0].shape[:2] == (4, 4)


def test_an_onnx_file_of_another_network_is_refused(tmp_path):
    import onnx

    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    value = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in "xy"]
    path = tmp_path / "other.onnx"
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", value[:1], value[1:])), path)
    with pytest.raises(LocalizerError, match="no DINOv2"):
        weights_of_onnx(path)


def test_a_folder_that_holds_no_weights_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("VLM_INSPECT_DINOV2", str(tmp_path))
    with pytest.raises(LocalizerError, match="VLM_INSPECT_DINOV2"):
        read_weights()
