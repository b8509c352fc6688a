"""Picture tensors to features, only of the pictures that are wanted."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from vlm_inspect.backends.hf.prompt import PlacedPicture, Prompt
from vlm_inspect.errors import BackendError


def takes_features(model: Any) -> bool:
    """Return whether a model can be given the features of pictures in place of their pixels."""
    return "mm_encoder_outputs" in inspect.signature(model.forward).parameters and hasattr(
        model.base_model, "get_image_features"
    )


def encode_pictures(model: Any, prompt: Prompt, first: int, stop: int) -> Any | None:
    """Run the vision tower on the pictures first, ..., stop - 1 of a prompt; None where that is none.

    A family that encodes the pictures of one conversation together (LLaVA-OneVision: several at low resolution, one
    in tiles) runs on all of them, and the features of the others are dropped.

    Returns:
        The library's output object; its `pooler_output` holds float features, one row a picture token.

    Raises:
        BackendError: the model gives another number of features than the prompt has places for.
    """
    import torch

    if first >= stop:
        return None
    together = "batch_num_images" in prompt.tensors
    begin, end = (0, len(prompt.pictures)) if together else (first, stop)
    chosen = _tensors_of(prompt.tensors, prompt.pictures, begin, end)
    known = inspect.signature(model.base_model.get_image_features).parameters
    arguments = {name: on_model(value, model) for name, value in chosen.items() if name in known}
    with torch.inference_mode():
        output = model.base_model.get_image_features(**arguments, return_dict=True)
    tokens = [picture.tokens for picture in prompt.pictures]
    if (found := int(_rows(output.pooler_output).shape[0])) != sum(tokens[begin:end]):
        raise BackendError(
            f"the model gave {found} features for pictures of {sum(tokens[begin:end])} tokens; "
            "its processor does not fit it"
        )
    return joined([output], slice(sum(tokens[begin:first]), sum(tokens[begin:stop])))


def on_model(tensor: Any, model: Any) -> Any:
    """Return a tensor on the model's device, numbers with a fraction in the model's type."""
    return tensor.to(model.device, model.dtype if tensor.is_floating_point() else tensor.dtype)


def joined(outputs: Sequence[Any], chosen: slice = slice(None)) -> Any | None:
    """Return the chosen rows of the features of several outputs as one output; None for no output."""
    import torch

    if not outputs:
        return None
    first = outputs[0]

    def join(parts: Sequence[Any]) -> Any:
        rows = torch.cat([_rows(part) for part in parts])[chosen]
        return rows.unsqueeze(0) if isinstance(parts[0], torch.Tensor) else [rows]

    held = {"pooler_output": join([output.pooler_output for output in outputs])}
    if first.get("deepstack_features") is not None:
        layers = zip(*(output.deepstack_features for output in outputs), strict=True)
        held["deepstack_features"] = [join(layer) for layer in layers]
    return type(first)(**held)


def _rows(features: Any) -> Any:
    """Return features, in whatever container, as one matrix: a row a token."""
    import torch

    return torch.cat([part.reshape(-1, part.shape[-1]) for part in features])


def _tensors_of(tensors: Mapping[str, Any], pictures: Sequence[PlacedPicture], first: int, stop: int) -> dict[str, Any]:
    """Return the part of a prompt's tensors that belongs to some of its pictures; families lay them out differently."""
    if (first, stop) == (0, len(pictures)):
        return dict(tensors)
    pixels = tensors["pixel_values"]
    if "image_grid_thw" in tensors:  # Qwen: patches of all pictures in one row
        patches = tensors["image_grid_thw"].prod(-1).tolist()
        rows = (sum(patches[:first]), sum(patches[:stop]))
        return {"pixel_values": pixels[rows[0] : rows[1]], "image_grid_thw": tensors["image_grid_thw"][first:stop]}
    if pixels.shape[0] == len(pictures):  # LLaVA: one entry a picture
        return {name: tensor[first:stop] for name, tensor in tensors.items()}
    # InternVL: tiles of all pictures along the first axis; Idefics3, SmolVLM: along the second. As many tokens a tile.
    axis = 1 if pixels.ndim == 5 else 0
    tokens = [picture.tokens for picture in pictures]
    each = sum(tokens) // int(pixels.shape[axis])
    start, length = sum(tokens[:first]) // each, sum(tokens[first:stop]) // each
    return {name: tensor.narrow(axis, start, length) for name, tensor in tensors.items() if name.startswith("pixel_")}
