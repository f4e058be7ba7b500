"""Small random models as open_clip, transformers and torch save them, each in a way of its own, with what the libraries compute.

Writes test/golden/pretrained/<name>/ and expected.safetensors (images, tokens, image and text features of each). Run with
open_clip_torch 3.3.0, timm 1.0.31, transformers 5.24.0, torch 2.15.0 on the CPU:

    python test/golden/make/pretrained.py
"""

import json
import math
import shutil
from pathlib import Path

import timm
import torch
from open_clip.model import CLIP, CustomTextCLIP
from open_clip.transformer import TextTransformer
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

FOLDER = Path(__file__).parent.parent / "pretrained"
EXPECTED = {}
PREPROCESS = {"mean": [0.5, 0.4, 0.3], "std": [0.3, 0.2, 0.25], "interpolation": "bilinear", "resize_mode": "squash"}


def disturbed(model):
    """No weight is left at 0 or 1, where a mistake would not show, and all are exact in F16."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name == "logit_scale":
                p.fill_(1.5)
            elif name == "logit_bias":
                p.fill_(-1.25)
            elif p.ndim < 2:
                gain = "norm" in name.replace("layer_norm", "norm") or ".ln" in name or name.startswith("ln")
                p.copy_((1 if gain and name.endswith("weight") else 0) + 0.2 * torch.randn_like(p))
            elif "embed" in name or "latent" in name or "query" in name or "probe" in name:
                p.copy_(0.5 * torch.randn_like(p))
            else:
                inputs = p.shape[0] if name.endswith("proj") or name.endswith("text_projection") else p[0].numel()
                p.copy_(1.5 * torch.randn_like(p) / math.sqrt(inputs))
            p.copy_(p.half().float())
    return model.eval()


def expect(name, size, tokens, image, text):
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        results = {"images": images, "tokens": tokens, "image": image(images), "text": text(tokens)}
    EXPECTED.update({f"{name}.{key}": value.contiguous() for key, value in results.items()})


def texts(context, vocabulary, end, padding=0):
    rows = torch.full((3, context), padding)
    for row, length in zip(rows, (2, context // 2, context)):
        row[:length] = torch.randint(1, vocabulary - 5, (length,))
        row[length - 1] = end
    return rows


def folder(name):
    path = FOLDER / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def half(state):
    return {k: v.half().contiguous() if v.is_floating_point() else v for k, v in state.items()}


def open_clip(name, cfg, kind=CLIP, seed=0):
    torch.manual_seed(seed)
    arguments = {k: v for k, v in cfg.items() if k != "custom_text"}
    model = disturbed(kind(**arguments))
    size, text = cfg["vision_cfg"]["image_size"], cfg["text_cfg"]
    tokens = texts(text["context_length"], text["vocab_size"], text.get("eos_id", text["vocab_size"] - 1))
    expect(name, size, tokens, model.encode_image, model.encode_text)
    path = folder(name)
    config = {"model_cfg": cfg, "preprocess_cfg": PREPROCESS}
    (path / "open_clip_config.json").write_text(json.dumps(config, indent=1))
    save_file(half(model.state_dict()), path / "open_clip_model.safetensors")


TEXT = {"context_length": 9, "vocab_size": 60, "width": 24, "heads": 3, "layers": 2}
VISION = {"image_size": 24, "patch_size": 8, "width": 32, "head_width": 16, "layers": 2}


def open_clips():
    open_clip(
        "open-clip-average",
        {
            "embed_dim": 20,
            "vision_cfg": {**VISION, "pool_type": "avg", "no_ln_pre": True, "final_ln_after_pool": True, "mlp_ratio": 2.7},
            "text_cfg": {**TEXT, "pool_type": "last", "no_causal_mask": True, "norm_kwargs": {"eps": 1e-4}},
            "quick_gelu": True,
        },
        seed=1,
    )
    open_clip(
        "open-clip-attentional",
        {
            "embed_dim": 32,
            "vision_cfg": {**VISION, "image_size": 30, "attentional_pool": True, "attn_pooler_heads": 4, "attn_pooler_queries": 5},
            "text_cfg": {**TEXT, "pool_type": "eos", "eos_id": 7, "act_kwargs": {"approximate": "tanh"}, "mlp_ratio": 3.0},
            "init_logit_bias": -10,
            "nonscalar_logit_scale": True,
            "custom_text": True,
        },
        CustomTextCLIP,
        seed=2,
    )
    open_clip(
        "open-clip-no-projection",
        {
            "embed_dim": 24,
            "vision_cfg": {"image_size": 64, "layers": [1, 2, 1, 1], "width": 8, "patch_size": None},
            "text_cfg": {**TEXT, "pool_type": "first", "proj_type": "none", "no_causal_mask": True},
            "custom_text": True,
        },
        CustomTextCLIP,
        seed=3,
    )


def siglip_of_timm():
    """open_clip's names of a SigLIP; no published one is as small, so there is no configuration of open_clip."""

    torch.manual_seed(4)
    trunk = timm.models.vision_transformer.VisionTransformer(
        img_size=24, patch_size=8, embed_dim=32, depth=2, num_heads=2, class_token=False, global_pool="map", num_classes=0
    )
    text = TextTransformer(
        context_length=9, vocab_size=60, width=24, heads=2, layers=2, output_dim=32, no_causal_mask=True, proj_bias=True,
        pool_type="last", norm_layer=lambda width: torch.nn.LayerNorm(width, eps=1e-6),
    )
    model = torch.nn.Module()
    model.visual, model.text = torch.nn.Module(), text
    model.visual.trunk = trunk
    model.logit_scale, model.logit_bias = torch.nn.Parameter(torch.zeros(())), torch.nn.Parameter(torch.zeros(()))
    disturbed(model)
    expect("open-clip-siglip", 24, texts(9, 60, 59), trunk, text)
    torch.save(half(model.state_dict()), folder("open-clip-siglip") / "open_clip_pytorch_model.bin")


TOWER = {"num_hidden_layers": 2, "num_attention_heads": 2}


def hugging_face_clip():
    torch.manual_seed(5)
    config = CLIPConfig(
        text_config={**TOWER, "hidden_size": 24, "intermediate_size": 40, "vocab_size": 60, "max_position_embeddings": 9,
                     "hidden_act": "gelu", "bos_token_id": 50, "eos_token_id": 51, "pad_token_id": 0},
        vision_config={**TOWER, "hidden_size": 32, "intermediate_size": 48, "image_size": 24, "patch_size": 8,
                       "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-4},
        projection_dim=20,
    )
    model = disturbed(CLIPModel(config))
    tokens = texts(9, 50, 51)
    tokens[1, 5:8] = torch.tensor([55, 51, 59])  # ids above the end-of-text, and a second one, do not count
    pooled = lambda output: getattr(output, "pooler_output", output)
    expect("hugging-face-clip", 24, tokens, lambda x: pooled(model.get_image_features(pixel_values=x)),
           lambda x: pooled(model.get_text_features(input_ids=x)))
    path = folder("hugging-face-clip")
    model.save_pretrained(path, max_shard_size="60KB")
    size = {"height": 24, "width": 24}
    processor = {"do_resize": True, "size": {"shortest_edge": 24}, "resample": 2, "do_center_crop": True, "crop_size": size,
                 "do_normalize": True, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.3, 0.2, 0.25]}
    (path / "preprocessor_config.json").write_text(json.dumps(processor))
    # The format of before: several files of torch.save.
    state, path = half(model.state_dict()), folder("hugging-face-clip-bin")
    names = list(state)
    index = {}
    for i in range(2):
        file = f"pytorch_model-0000{i + 1}-of-00002.bin"
        torch.save({name: state[name] for name in names[i::2]}, path / file)
        index |= {name: file for name in names[i::2]}
    (path / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {"total_size": 0}, "weight_map": index}))
    shutil.copy(FOLDER / "hugging-face-clip" / "config.json", path)


def hugging_face_siglip():
    torch.manual_seed(6)
    config = SiglipConfig(
        text_config={**TOWER, "hidden_size": 24, "intermediate_size": 40, "vocab_size": 60, "max_position_embeddings": 9,
                     "projection_size": 32},
        vision_config={**TOWER, "hidden_size": 32, "intermediate_size": 48, "image_size": 30, "patch_size": 8},
    )
    model = disturbed(SiglipModel(config))
    expect("hugging-face-siglip", 30, texts(9, 60, 1, 1), lambda x: model.get_image_features(pixel_values=x).pooler_output,
           lambda x: model.get_text_features(input_ids=x).pooler_output)
    path = folder("hugging-face-siglip")
    model.half().save_pretrained(path)
    processor = {"do_resize": True, "size": {"height": 30, "width": 30}, "resample": 3, "image_mean": [0.5, 0.5, 0.5],
                 "image_std": [0.5, 0.5, 0.5], "image_processor_type": "SiglipImageProcessor"}
    (path / "preprocessor_config.json").write_text(json.dumps(processor))


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    open_clips()
    siglip_of_timm()
    hugging_face_clip()
    hugging_face_siglip()
    save_file(EXPECTED, FOLDER / "expected.safetensors")
