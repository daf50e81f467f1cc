"""Editors with random weights in the shape of public ones, as folders for diffusers' pipelines.

Classes, layout and the settings behind formulas are the published ones; widths and depths are
small. Their edits are noise; they test the integration.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler
    from transformers import CLIPTokenizer, Qwen2Tokenizer, T5Tokenizer

_WIDTH, _HEADS, _LAYERS = 32, 2, 2
_LATENT_CHANNELS = 16
_VAE_WIDTH = 8
_KLEIN_TEXT_LAYERS = 28
"""Layers 9, 18 and 27 of the published text encoder are used."""
_FLUX_SHIFT = {"base_shift": 0.5, "max_shift": 1.15, "max_image_seq_len": 4096}
_QWEN_SHIFT = {"base_shift": 0.5, "max_shift": 0.9, "max_image_seq_len": 8192}
_CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor -%}"
    "{%- if add_generation_prompt -%}<|im_start|>assistant\n"
    "{%- if enable_thinking is defined and not enable_thinking -%}<think>\n\n</think>\n\n"
    "{%- endif -%}{%- endif -%}"
)
_CHAT_TOKENS = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>")
_PICTURE_TOKENS = ("<|image_pad|>", "<|video_pad|>")
_FITTED_TO = (
    "Describe the key features of the input image, then explain how the instruction should alter "
    "it. Generate a new image. system user assistant Picture 1: make the red square blue",
)


def write_kontext(folder: Path, seed: int = 0) -> None:
    """An editor of FLUX.1-Kontext's classes."""
    import torch
    from diffusers import AutoencoderKL, FluxKontextPipeline, FluxTransformer2DModel
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    clip, t5 = _clip_tokenizer(), _t5_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pipeline = FluxKontextPipeline(
            scheduler=_scheduler(shift=3.0, **_FLUX_SHIFT),
            vae=AutoencoderKL(
                **_flux_vae(),
                latent_channels=_LATENT_CHANNELS,
                scaling_factor=0.3611,
                shift_factor=0.1159,
                use_quant_conv=False,
                use_post_quant_conv=False,
            ),
            text_encoder=CLIPTextModel(
                CLIPTextConfig(
                    vocab_size=len(clip),
                    hidden_size=_WIDTH,
                    intermediate_size=2 * _WIDTH,
                    num_hidden_layers=1,
                    num_attention_heads=_HEADS,
                    projection_dim=_WIDTH,
                    bos_token_id=clip.bos_token_id,
                    eos_token_id=clip.eos_token_id,
                    pad_token_id=clip.pad_token_id,
                )
            ),
            tokenizer=clip,
            text_encoder_2=T5EncoderModel(
                T5Config(
                    vocab_size=len(t5),
                    d_model=_WIDTH,
                    d_kv=_WIDTH // _HEADS,
                    d_ff=2 * _WIDTH,
                    num_layers=1,
                    num_heads=_HEADS,
                    feed_forward_proj="gated-gelu",
                )
            ),
            tokenizer_2=t5,
            transformer=FluxTransformer2DModel(
                in_channels=4 * _LATENT_CHANNELS,
                num_layers=_LAYERS,
                num_single_layers=_LAYERS,
                attention_head_dim=_WIDTH // _HEADS,
                num_attention_heads=_HEADS,
                joint_attention_dim=_WIDTH,
                pooled_projection_dim=_WIDTH,
                guidance_embeds=True,
                axes_dims_rope=(4, 6, 6),
            ),
        )
    _write(pipeline, folder)


def write_klein(folder: Path, *, distilled: bool = False, seed: int = 0) -> None:
    """An editor of FLUX.2-klein's classes."""
    import torch
    from diffusers import AutoencoderKLFlux2, Flux2KleinPipeline, Flux2Transformer2DModel
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = _qwen_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vae = AutoencoderKLFlux2(**_flux_vae(), latent_channels=2 * _LATENT_CHANNELS)
        vae.bn.running_mean.normal_()
        vae.bn.running_var.uniform_(0.5, 2.0)
        pipeline = Flux2KleinPipeline(
            scheduler=_scheduler(shift=3.0, **_FLUX_SHIFT),
            vae=vae,
            text_encoder=Qwen3ForCausalLM(
                Qwen3Config(
                    **_qwen_text(tokenizer, _KLEIN_TEXT_LAYERS),
                    head_dim=_WIDTH // _HEADS,
                    pad_token_id=tokenizer.pad_token_id,
                )
            ),
            tokenizer=tokenizer,
            transformer=Flux2Transformer2DModel(
                in_channels=8 * _LATENT_CHANNELS,
                num_layers=_LAYERS,
                num_single_layers=_LAYERS,
                attention_head_dim=_WIDTH // _HEADS,
                num_attention_heads=_HEADS,
                joint_attention_dim=3 * _WIDTH,
                axes_dims_rope=(4, 4, 4, 4),
                guidance_embeds=False,
            ),
            is_distilled=distilled,
        )
    _write(pipeline, folder)


def write_qwen_edit(
    folder: Path, *, plus: bool = False, zero_cond_t: bool = False, seed: int = 0
) -> None:
    """An editor of Qwen-Image-Edit's classes.

    Args:
        folder: target folder.
        plus: as Edit-2509 and later ones, which take several pictures.
        zero_cond_t: as Edit-2511, where source pictures always have time 0.
        seed: of the weights.
    """
    import torch
    from diffusers import (
        AutoencoderKLQwenImage,
        QwenImageEditPipeline,
        QwenImageEditPlusPipeline,
        QwenImageTransformer2DModel,
    )
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2VLImageProcessorPil,
    )

    from spatialreward.editors.qwen_prompts import PictureProcessor

    tokenizer = _qwen_tokenizer()
    image_id, video_id, begins, ends = tokenizer.convert_tokens_to_ids(
        [*_PICTURE_TOKENS, *_CHAT_TOKENS[2:]]
    )
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pipeline = (QwenImageEditPlusPipeline if plus else QwenImageEditPipeline)(
            scheduler=_scheduler(shift_terminal=0.02, **_QWEN_SHIFT),
            vae=AutoencoderKLQwenImage(base_dim=_VAE_WIDTH, num_res_blocks=1),
            text_encoder=Qwen2_5_VLForConditionalGeneration(
                Qwen2_5_VLConfig(
                    text_config=_qwen_text(tokenizer, _LAYERS) | {"rope_parameters": rope},
                    vision_config={
                        "depth": _LAYERS,
                        "hidden_size": _WIDTH,
                        "intermediate_size": 2 * _WIDTH,
                        "num_heads": _HEADS,
                        "out_hidden_size": _WIDTH,
                        "fullatt_block_indexes": [_LAYERS - 1],
                    },
                    image_token_id=image_id,
                    video_token_id=video_id,
                    vision_start_token_id=begins,
                    vision_end_token_id=ends,
                )
            ),
            tokenizer=tokenizer,
            processor=PictureProcessor(Qwen2VLImageProcessorPil(), tokenizer),
            transformer=QwenImageTransformer2DModel(
                in_channels=4 * _LATENT_CHANNELS,
                out_channels=_LATENT_CHANNELS,
                num_layers=_LAYERS,
                attention_head_dim=_WIDTH // _HEADS,
                num_attention_heads=_HEADS,
                joint_attention_dim=_WIDTH,
                axes_dims_rope=(4, 6, 6),
                zero_cond_t=zero_cond_t,
            ),
        )
    _write(pipeline, folder)
    name = "Qwen2VLProcessor"
    _restate(folder / "model_index.json", processor=["transformers", name])
    _restate(folder / "processor" / "processor_config.json", processor_class=name)


def _write(pipeline: "DiffusionPipeline", folder: Path) -> None:
    for component in pipeline.components.values():
        if hasattr(component, "eval"):
            component.eval()
    pipeline.save_pretrained(folder)


def _restate(path: Path, **changes: object) -> None:
    stated = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(stated, indent=2) + "\n")


def _scheduler(**settings: float) -> "FlowMatchEulerDiscreteScheduler":
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, **settings)


def _flux_vae() -> dict[str, object]:
    """Eightfold downscaling, as in the published one."""
    return {
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": (_VAE_WIDTH,) * 4,
        "layers_per_block": 1,
        "norm_num_groups": 4,
    }


def _qwen_text(tokenizer: "Qwen2Tokenizer", num_layers: int) -> dict[str, object]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": _WIDTH,
        "intermediate_size": 2 * _WIDTH,
        "num_hidden_layers": num_layers,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _HEADS,
        "bos_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }


def _clip_tokenizer() -> "CLIPTokenizer":
    """Spells every character in bytes."""
    from transformers import CLIPTokenizer

    pieces = _alphabet()
    specials = ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab=_numbered([*pieces, *(f"{piece}</w>" for piece in pieces), *specials]),
        merges=[],
        model_max_length=77,
    )


def _t5_tokenizer() -> "T5Tokenizer":
    """Has a token for each printable character of ASCII."""
    from transformers import T5Tokenizer

    specials = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    characters = [("▁", -2.0), *((chr(code), -3.0) for code in range(33, 127))]
    return T5Tokenizer(vocab=specials + characters, extra_ids=0)


def _qwen_tokenizer() -> "Qwen2Tokenizer":
    """Has tokens for frequent words, and spells others in bytes."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import Qwen2Tokenizer

    specials = ["<|endoftext|>", *_CHAT_TOKENS, *_PICTURE_TOKENS]
    fitted = Tokenizer(models.BPE())
    fitted.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fitted.train_from_iterator(
        _FITTED_TO,
        trainers.BpeTrainer(
            vocab_size=600,
            special_tokens=specials,
            initial_alphabet=_alphabet(),
            show_progress=False,
        ),
    )
    model = json.loads(fitted.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=model["vocab"],
        merges=[tuple(pair) for pair in model["merges"]],
        eos_token="<|im_end|>",
        additional_special_tokens=[*_CHAT_TOKENS, *_PICTURE_TOKENS],
        model_max_length=131_072,
    )
    tokenizer.chat_template = _CHAT_TEMPLATE
    return tokenizer


def _alphabet() -> list[str]:
    from tokenizers import pre_tokenizers

    return sorted(pre_tokenizers.ByteLevel.alphabet())


def _numbered(pieces: Sequence[str]) -> dict[str, int]:
    return {piece: number for number, piece in enumerate(pieces)}
