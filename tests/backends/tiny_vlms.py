"""Tiny vision-language models with random weights, in the real classes of their families, written to a folder.

    folder = build("qwen2_5_vl", tmp_path)
    backend = load_backend(f"hf:{folder}")

Configuration, processor, image processor and chat template are those of the family; only the sizes are small, and the
tokenizer knows bytes and a few words.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

FAMILIES = ("llava", "llava_next", "llava_onevision", "qwen2_5_vl", "qwen3_vl", "internvl", "smolvlm", "idefics3")
WIDTH = 32
CONTEXT = 16384
_WORDS = """{"reasoning": "the surface is even", "anomalous": true, "answer": "no", "rules": [], "defects": []}
{"reasoning": "there is a scratch", "anomalous": false, "probability": 0.5, "correctness": 1} normal part reference
picture view pass fail cannot_tell true false true false "type": "dent", "box": [0, 1], "severity": "minor" """

_LLAVA_CHAT = (
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': ' }}{% endif %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] + ' ' }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
"""All pictures before all texts."""


def _chatml(picture: str, *, pictures_first: bool = False) -> str:
    part = "{% if part['type'] == 'image' %}{{ '" + picture + "' }}{% else %}{{ part['text'] }}{% endif %}"
    body = "{% for part in message['content'] %}" + part + "{% endfor %}"
    if pictures_first:
        body = (
            "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '" + picture + "' }}"
            "{% endfor %}{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}"
            "{{ part['text'] }}{% endfor %}"
        )
    return (
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
        + body
        + "{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )


_IDEFICS_CHAT = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}:"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image>' }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{{ '<end_of_utterance>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def build(family: str, folder: Path, *, seed: int = 0) -> Path:
    """Write one model with its processor to `folder / family`, and return that folder."""
    import torch

    torch.manual_seed(seed)
    target = folder / family
    model, processor = _BUILDERS[family]()
    model.eval().save_pretrained(target)
    processor.save_pretrained(target)
    return target


def tokenizer(
    special: tuple[str, ...], *, eos: str, pad: str, bos: str | None = None, names: Mapping[str, str] | None = None
) -> Any:
    """A byte-level tokenizer with these special tokens; `names` are those that the processor asks for by name."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400 + len(special),
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([_WORDS], trainer)
    named = {} if names is None else {"extra_special_tokens": dict(names)}
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token=eos,
        pad_token=pad,
        bos_token=bos,
        additional_special_tokens=[token for token in special if token not in {eos, pad, bos}],
        padding_side="left",
        model_max_length=CONTEXT,
        **named,
    )


def _text_sizes(words: Any, **more: Any) -> dict[str, Any]:
    return {
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
        "vocab_size": len(words),
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        **more,
    }


def _clip_vision(side: int) -> dict[str, Any]:
    return {
        "model_type": "clip_vision_model",
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "image_size": side,
        "patch_size": 14,
        "projection_dim": WIDTH,
    }


def _siglip_vision(side: int) -> dict[str, Any]:
    sizes = {**_clip_vision(side), "model_type": "siglip_vision_model"}
    del sizes["projection_dim"]
    return sizes


_LLAMA_TOKENS = ("<pad>", "<s>", "</s>", "<image>")


def _llava() -> tuple[Any, Any]:
    from transformers import CLIPImageProcessorPil, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

    words = tokenizer(_LLAMA_TOKENS, eos="</s>", pad="<pad>", bos="<s>")
    config = LlavaConfig(
        vision_config=_clip_vision(56),
        text_config={"model_type": "llama", **_text_sizes(words)},
        image_token_id=words.convert_tokens_to_ids("<image>"),
        image_seq_length=16,
        vision_feature_select_strategy="default",
        vision_feature_layer=-2,
    )
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56})
    processor = LlavaProcessor(
        pictures,
        words,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_LLAVA_CHAT,
    )
    return LlavaForConditionalGeneration(config), processor


def _llava_next() -> tuple[Any, Any]:
    from transformers import LlavaNextConfig, LlavaNextForConditionalGeneration, LlavaNextProcessor
    from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil

    words = tokenizer(_LLAMA_TOKENS, eos="</s>", pad="<pad>", bos="<s>")
    grid = [[56, 112], [112, 56], [112, 112]]
    config = LlavaNextConfig(
        vision_config=_clip_vision(56),
        text_config={"model_type": "mistral", "sliding_window": None, **_text_sizes(words)},
        image_token_id=words.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=grid,
        image_seq_length=16,
    )
    pictures = LlavaNextImageProcessorPil(
        size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}, image_grid_pinpoints=grid
    )
    processor = LlavaNextProcessor(
        pictures,
        words,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_LLAVA_CHAT,
    )
    return LlavaNextForConditionalGeneration(config), processor


def _llava_onevision() -> tuple[Any, Any]:
    from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration, LlavaOnevisionProcessor
    from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil

    words = tokenizer((*_CHATML_TOKENS, "<image>", "<video>"), eos="<|im_end|>", pad="<|endoftext|>")
    grid = [[56, 56], [56, 112], [112, 56], [112, 112]]
    config = LlavaOnevisionConfig(
        vision_config=_siglip_vision(56),
        text_config={"model_type": "qwen2", **_text_sizes(words)},
        image_token_id=words.convert_tokens_to_ids("<image>"),
        video_token_id=words.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=grid,
    )
    pictures = LlavaOnevisionImageProcessorPil(size={"height": 56, "width": 56}, image_grid_pinpoints=grid)
    return LlavaOnevisionForConditionalGeneration(config), _without_videos(
        LlavaOnevisionProcessor,
        pictures,
        words,
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=_chatml("<image>", pictures_first=True),
    )


def _qwen_words() -> Any:
    return tokenizer(
        (*_CHATML_TOKENS, "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"),
        eos="<|im_end|>",
        pad="<|endoftext|>",
    )


def _qwen_ids(words: Any) -> dict[str, int]:
    return {
        "image_token_id": words.convert_tokens_to_ids("<|image_pad|>"),
        "video_token_id": words.convert_tokens_to_ids("<|video_pad|>"),
        "vision_start_token_id": words.convert_tokens_to_ids("<|vision_start|>"),
        "vision_end_token_id": words.convert_tokens_to_ids("<|vision_end|>"),
    }


def _qwen2_5_vl() -> tuple[Any, Any]:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    words = _qwen_words()
    config = Qwen2_5_VLConfig(
        vision_config={
            "depth": 2,
            "hidden_size": WIDTH,
            "intermediate_size": 48,
            "num_heads": 4,
            "out_hidden_size": WIDTH,
            "patch_size": 14,
            "window_size": 56,
            "fullatt_block_indexes": [1],
        },
        text_config={
            **_text_sizes(words),
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]},
        },
        **_qwen_ids(words),
    )
    pictures = Qwen2VLImageProcessorPil(size={"shortest_edge": 28 * 28, "longest_edge": 112 * 112}, patch_size=14)
    return Qwen2_5_VLForConditionalGeneration(config), _without_videos(
        Qwen2_5_VLProcessor,
        pictures,
        words,
        chat_template=_chatml("<|vision_start|><|image_pad|><|vision_end|>"),
    )


def _qwen3_vl() -> tuple[Any, Any]:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration, Qwen3VLProcessor
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    words = _qwen_words()
    config = Qwen3VLConfig(
        vision_config={
            "depth": 3,
            "hidden_size": WIDTH,
            "intermediate_size": 48,
            "num_heads": 4,
            "out_hidden_size": WIDTH,
            "patch_size": 16,
            "deepstack_visual_indexes": [0, 1],
            "num_position_embeddings": 64,
        },
        text_config={
            **_text_sizes(words, head_dim=8),
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [2, 1, 1],
                "mrope_interleaved": True,
            },
        },
        **_qwen_ids(words),
    )
    pictures = Qwen2VLImageProcessorPil(
        size={"shortest_edge": 32 * 32, "longest_edge": 128 * 128},
        patch_size=16,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return Qwen3VLForConditionalGeneration(config), _without_videos(
        Qwen3VLProcessor,
        pictures,
        words,
        chat_template=_chatml("<|vision_start|><|image_pad|><|vision_end|>"),
    )


def _internvl() -> tuple[Any, Any]:
    from transformers import InternVLConfig, InternVLForConditionalGeneration, InternVLProcessor
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

    names = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    words = tokenizer((*_CHATML_TOKENS, *names.values()), eos="<|im_end|>", pad="<|endoftext|>", names=names)
    config = InternVLConfig(
        vision_config={
            "hidden_size": WIDTH,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": [56, 56],
            "patch_size": [14, 14],
        },
        text_config={"model_type": "qwen2", **_text_sizes(words)},
        image_token_id=words.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        downsample_ratio=0.5,
    )
    pictures = GotOcr2ImageProcessorPil(size={"height": 56, "width": 56}, crop_to_patches=True, max_patches=4)
    return InternVLForConditionalGeneration(config), _without_videos(
        InternVLProcessor, pictures, words, image_seq_length=4, chat_template=_chatml("<IMG_CONTEXT>\n")
    )


_IDEFICS_TOKENS = (
    *("<|im_start|>", "<|im_end|>", "<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>"),
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
)


def _idefics_sizes(words: Any) -> dict[str, Any]:
    return {
        "vision_config": {
            "hidden_size": WIDTH,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 56,
            "patch_size": 14,
        },
        "text_config": {"model_type": "llama", **_text_sizes(words)},
        "image_token_id": words.convert_tokens_to_ids("<image>"),
        "pad_token_id": words.pad_token_id,
        "scale_factor": 2,
    }


def _idefics3() -> tuple[Any, Any]:
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Processor
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    words = tokenizer(_IDEFICS_TOKENS, eos="<end_of_utterance>", pad="<|im_end|>", bos="<|im_start|>")
    pictures = Idefics3ImageProcessorPil(size={"longest_edge": 112}, max_image_size={"longest_edge": 56})
    processor = Idefics3Processor(pictures, words, image_seq_len=4, chat_template=_IDEFICS_CHAT)
    return Idefics3ForConditionalGeneration(Idefics3Config(**_idefics_sizes(processor.tokenizer))), processor


def _smolvlm() -> tuple[Any, Any]:
    from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration, SmolVLMProcessor
    from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

    from vlm_inspect.backends.hf.loading import spare_number_words

    names = {
        "fake_image_token": "<fake_token_around_image>",
        "image_token": "<image>",
        "global_image_token": "<global-img>",
    }
    words = tokenizer(_IDEFICS_TOKENS, eos="<end_of_utterance>", pad="<|im_end|>", bos="<|im_start|>", names=names)
    pictures = SmolVLMImageProcessorPil(size={"longest_edge": 112}, max_image_size={"longest_edge": 56})
    spare_number_words()
    processor = _without_videos(SmolVLMProcessor, pictures, words, image_seq_len=4, chat_template=_IDEFICS_CHAT)
    return SmolVLMForConditionalGeneration(SmolVLMConfig(**_idefics_sizes(words))), processor


def _without_videos(processor_class: Any, pictures: Any, words: Any, **settings: Any) -> Any:
    """The family's processor, less its part for videos, which needs torchvision."""
    from vlm_inspect.backends.hf.loading import for_pictures

    return for_pictures(processor_class)(pictures, words, None, **settings)


_CHATML_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_BUILDERS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "llava": _llava,
    "llava_next": _llava_next,
    "llava_onevision": _llava_onevision,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen3_vl": _qwen3_vl,
    "internvl": _internvl,
    "smolvlm": _smolvlm,
    "idefics3": _idefics3,
}
