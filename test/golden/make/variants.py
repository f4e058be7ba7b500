"""Small random models of open_clip, timm and transformers that differ from OpenAI's in every way that clip-ts knows.

Writes test/golden/variants/<name>.json (configuration of clip-ts, gradients in short), <name>.safetensors (weights as F16 under
clip-ts's names, inputs, expected results), positions.safetensors (positional embeddings interpolated) and
open_clip_configs.json (what open_clip builds from its published configurations). Run with open_clip_torch 3.3.0, timm 1.0.31, transformers 5.24.0, torch 2.15.0 on the CPU:

    python test/golden/make/variants.py
"""

import hashlib
import json
import math
import re
import types
from pathlib import Path

import open_clip
import timm
import torch
import torch.nn.functional as F
from open_clip.model import resize_pos_embed
from open_clip.transformer import TextTransformer
from safetensors.torch import save_file
from transformers import SiglipConfig, SiglipModel

FOLDER = Path(__file__).parent.parent / "variants"
IMAGES, TEXTS = 3, 3


def disturb(model, seed):
    """No weight is left at 0 or 1, where a mistake would not show, and all are exact in F16."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name == "logit_scale":
                p.fill_(1.5)
            elif name == "logit_bias":
                p.fill_(-1.25)
            elif p.ndim < 2:
                gain = ("norm" in name or ".ln" in name or name.startswith("ln")) and name.endswith("weight")
                p.copy_((1 if gain else 0) + 0.2 * torch.randn_like(p))
            elif "embed" in name or "latent" in name or "query" in name or "probe" in name:
                p.copy_(0.5 * torch.randn_like(p))
            else:
                inputs = p.shape[0] if name.endswith("proj") or name == "text_projection" else p[0].numel()
                p.copy_(1.5 * torch.randn_like(p) / math.sqrt(inputs))
            p.copy_(p.half().float())
    return model.eval()


def open_clip_tensors(model):
    names = {}
    for name, p in model.named_parameters():
        names[name.removeprefix("text.")] = p
    return names


class SigLIP(torch.nn.Module):
    """open_clip's CustomTextCLIP with a timm trunk, at a size that no published name has."""

    def __init__(self, trunk, text):
        super().__init__()
        self.trunk, self.text = trunk, text
        self.logit_scale = torch.nn.Parameter(torch.zeros(()))
        self.logit_bias = torch.nn.Parameter(torch.zeros(()))

    def encode_image(self, x):
        return self.trunk(x)

    def encode_text(self, x):
        return self.text(x)


TIMM = {
    "patch_embed.proj": "conv1",
    "norm1": "ln_1",
    "norm2": "ln_2",
    "attn.qkv.weight": "attn.in_proj_weight",
    "attn.qkv.bias": "attn.in_proj_bias",
    "attn.proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


def timm_name(name):
    if name.startswith("attn_pool."):
        return name
    if name == "pos_embed":
        return "positional_embedding"
    if name.startswith("norm."):
        return "ln_post" + name[4:]
    if name.startswith("blocks."):
        name = "transformer.resblocks" + name[6:]
    for theirs, ours in TIMM.items():
        name = name.replace(theirs, ours)
    return name


def siglip_tensors(model):
    names = {"logit_scale": model.logit_scale, "logit_bias": model.logit_bias}
    for name, p in model.trunk.named_parameters():
        names["visual." + timm_name(name)] = p
    names |= dict(model.text.named_parameters())
    names["visual.positional_embedding"] = names["visual.positional_embedding"][0]
    return names


class HuggingFace(torch.nn.Module):
    def __init__(self, **config):
        super().__init__()
        self.model = SiglipModel(SiglipConfig(**config))
        self.logit_scale, self.logit_bias = self.model.logit_scale, self.model.logit_bias

    def encode_image(self, x):
        return self.model.get_image_features(pixel_values=x).pooler_output

    def encode_text(self, x):
        return self.model.get_text_features(input_ids=x).pooler_output


def hugging_face_tensors(model):
    stored = dict(model.model.named_parameters())
    names = {"logit_scale": stored["logit_scale"][0], "logit_bias": stored["logit_bias"][0]}

    def both(ours, theirs):
        names[f"{ours}.weight"], names[f"{ours}.bias"] = stored[f"{theirs}.weight"], stored[f"{theirs}.bias"]

    def tower(ours, theirs, layers):
        for i in range(layers):
            a, b = f"{ours}.resblocks.{i}", f"{theirs}.encoder.layers.{i}"
            for kind in ("weight", "bias"):
                parts = [stored[f"{b}.self_attn.{x}_proj.{kind}"] for x in "qkv"]
                names[f"{a}.attn.in_proj_{kind}"] = torch.cat(parts)
            both(f"{a}.attn.out_proj", f"{b}.self_attn.out_proj")
            both(f"{a}.ln_1", f"{b}.layer_norm1")
            both(f"{a}.ln_2", f"{b}.layer_norm2")
            both(f"{a}.mlp.c_fc", f"{b}.mlp.fc1")
            both(f"{a}.mlp.c_proj", f"{b}.mlp.fc2")

    config = model.model.config
    tower("visual.transformer", "vision_model", config.vision_config.num_hidden_layers)
    tower("transformer", "text_model", config.text_config.num_hidden_layers)
    both("visual.conv1", "vision_model.embeddings.patch_embedding")
    names["visual.positional_embedding"] = stored["vision_model.embeddings.position_embedding.weight"]
    both("visual.ln_post", "vision_model.post_layernorm")
    head = "vision_model.head"
    width = config.vision_config.hidden_size
    names["visual.attn_pool.latent"] = stored[f"{head}.probe"]
    for kind in ("weight", "bias"):
        joined = stored[f"{head}.attention.in_proj_{kind}"]
        names[f"visual.attn_pool.q.{kind}"], names[f"visual.attn_pool.kv.{kind}"] = joined[:width], joined[width:]
    both("visual.attn_pool.proj", f"{head}.attention.out_proj")
    both("visual.attn_pool.norm", f"{head}.layernorm")
    both("visual.attn_pool.mlp.fc1", f"{head}.mlp.fc1")
    both("visual.attn_pool.mlp.fc2", f"{head}.mlp.fc2")
    names["token_embedding.weight"] = stored["text_model.embeddings.token_embedding.weight"]
    names["positional_embedding"] = stored["text_model.embeddings.position_embedding.weight"]
    both("ln_final", "text_model.final_layer_norm")
    both("text_projection", "text_model.head")
    return names


def clip(embed_dim, vision, text, **options):
    return open_clip.model.CLIP(embed_dim, vision, text, **options), open_clip_tensors


def texts(config, seed):
    """Ids of which the last of the vocabulary occurs once in the middle, once more behind it, and padding 0 follows."""
    torch.manual_seed(seed)
    context, vocab = config["text"]["contextLength"], config["text"]["vocabSize"]
    tokens = torch.zeros(TEXTS, context, dtype=torch.long)
    for row in range(TEXTS):
        end = [2, context - 1, context // 2][row]
        tokens[row, :end] = torch.randint(3, vocab - 1, (end,))
        tokens[row, end] = config["text"].get("endOfText", vocab - 1)
        if row == 2:
            tokens[row, end + 2] = tokens[row, end]
    return tokens


def loss_of(logits, config):
    labels = torch.arange(len(logits))
    if config.get("logitBias"):
        return -F.logsigmoid((2 * torch.eye(len(logits), dtype=logits.dtype) - 1) * logits).sum() / len(logits)
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


def run(model, images, tokens, config):
    image, text = model.encode_image(images), model.encode_text(tokens)
    logits = model.logit_scale.exp() * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T
    return image, text, logits + model.logit_bias if config.get("logitBias") else logits


def make(name, config, build, seed):
    model, tensors_of = build
    disturb(model, seed)
    side = config["imageSize"]
    torch.manual_seed(seed + 1)
    images, tokens = torch.randn(IMAGES, 3, side, side), texts(config, seed + 2)
    with torch.no_grad():
        single = run(model, images, tokens, config)
    weights = {k: v.detach().half().contiguous() for k, v in tensors_of(model).items()}
    model.double()
    image, text, logits = run(model, images.double(), tokens, config)
    loss = loss_of(logits, config)
    loss.backward()
    slopes = gradients(model, tensors_of)
    out = {"images": images, "tokens": tokens, "f32.image_features": single[0], "f32.text_features": single[1]}
    out |= {"f64.image_features": image, "f64.text_features": text, "f64.logits_per_image": logits}
    out = {k: v.detach().clone().contiguous() for k, v in out.items()}
    save_file(out | {f"weights.{k}": v.clone() for k, v in weights.items()}, FOLDER / f"{name}.safetensors")
    report = {"config": config, "loss": loss.item(), "gradients": slopes}
    lines = re.sub(r"\[\s+(\S+)\s+(\S+)\s+\]", r"[\1 \2]", json.dumps(report, indent=1))
    (FOLDER / f"{name}.json").write_text(lines + "\n")
    worst = max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(single, (image, text, logits)))
    print(f"{name}: {len(weights)} tensors, float32 differs by {worst:.1e}")


def gradients(model, tensors_of):
    """With the gradients in place of the parameters, so that tensors which are put together for their names need nothing else.
    Of each tensor: norm of its gradient and the sum of it times cos(0), cos(1), ..., under clip-ts's names."""
    parameters = {p: p.grad.clone() for p in model.parameters() if p.grad is not None}
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(parameters.get(p, torch.zeros_like(p)))
    slopes = {}
    for name, g in tensors_of(model).items():
        flat = g.detach().flatten()
        slopes[name] = [flat.norm().item(), (flat * torch.cos(torch.arange(len(flat), dtype=torch.float64))).sum().item()]
    return slopes


def tower(width, layers, heads, **more):
    return {"width": width, "layers": layers, "heads": heads, **more}


def main():
    FOLDER.mkdir(exist_ok=True)
    text = {"context_length": 9, "vocab_size": 60, "width": 24, "heads": 2, "layers": 2}
    ours = {"contextLength": 9, "vocabSize": 60, **tower(24, 2, 2)}

    # Heads that are not 64 wide, MLPs that are not four times the width (ViT-H, g, bigG), pooling at a given id (MetaCLIP 2).
    make(
        "open-clip-wide",
        {
            "embedDim": 16,
            "imageSize": 24,
            "vision": {"kind": "vit", **tower(40, 2, 2), "patchSize": 8, "mlpWidth": 174},
            "text": {**ours, "mlpWidth": 89, "pool": "eos", "endOfText": 2},
            "activation": "gelu",
        },
        clip(
            16,
            {"image_size": 24, "layers": 2, "width": 40, "head_width": 20, "patch_size": 8, "mlp_ratio": 4.3637},
            {**text, "mlp_ratio": 3.7362, "pool_type": "eos", "eos_id": 2},
        ),
        10,
    )
    # CLIPA.
    make(
        "open-clip-clipa",
        {
            "embedDim": 16,
            "imageSize": 24,
            "vision": {"kind": "vit", **tower(32, 2, 2), "patchSize": 8, "preNorm": False, "pool": "average", "normAfterPool": True},
            "text": {**ours, "causal": False, "pool": "last"},
            "activation": "gelu",
        },
        clip(
            16,
            {"image_size": 24, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8, "no_ln_pre": True, "pool_type": "avg", "final_ln_after_pool": True},
            {**text, "no_causal_mask": True, "pool_type": "last"},
        ),
        20,
    )
    # The layer norm before the mean; no causal mask, pooled at the highest id (MobileCLIP's text tower); a bias behind.
    make(
        "open-clip-average",
        {
            "embedDim": 16,
            "imageSize": 28,
            "vision": {"kind": "vit", **tower(32, 1, 2), "patchSize": 8, "pool": "average", "epsilon": 1e-3},
            "text": {**ours, "causal": False, "projection": "linear", "activation": "geluTanh", "epsilon": 1e-4},
            "activation": "gelu",
        },
        clip(
            16,
            {"image_size": 28, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8, "pool_type": "avg", "norm_kwargs": {"eps": 1e-3}},
            {**text, "no_causal_mask": True, "proj_bias": True, "act_kwargs": {"approximate": "tanh"}, "norm_kwargs": {"eps": 1e-4}},
        ),
        30,
    )
    # open_clip's attentional pooler, of another width than the tower and of the same, there with another epsilon, which is not the pooler's;
    # causal texts pooled at the ends.
    for name, embed, pool in (("open-clip-attentional", 16, "last"), ("open-clip-attentional-same", 24, "first")):
        make(
            name,
            {
                "embedDim": embed,
                "imageSize": 24,
                "vision": {"kind": "vit", **tower(24, 1, 2), "patchSize": 8, "pool": "attentional", "poolHeads": 4, "poolQueries": 5, **({"epsilon": 1e-2} if embed == 24 else {})},
                "text": {**ours, "pool": pool, **({"projection": "none"} if embed == 24 else {})},
                "activation": "quickGelu",
            },
            clip(
                embed,
                {"image_size": 24, "layers": 1, "width": 24, "head_width": 12, "patch_size": 8, "attentional_pool": True, "attn_pooler_heads": 4, "attn_pooler_queries": 5, **({"norm_kwargs": {"eps": 1e-2}} if embed == 24 else {})},
                {**text, "pool_type": pool, **({"proj_type": "none"} if embed == 24 else {})},
                quick_gelu=True,
            ),
            40 + embed,
        )
    # SigLIP as open_clip has it: a timm trunk, a text tower of its own.
    trunk = timm.models.vision_transformer.VisionTransformer(
        img_size=24, patch_size=8, embed_dim=32, depth=2, num_heads=2, mlp_ratio=3.7362, class_token=False, global_pool="map", num_classes=0
    )
    tower_of_text = TextTransformer(
        context_length=9, vocab_size=60, width=24, heads=2, layers=2, output_dim=32, no_causal_mask=True, proj_bias=True, pool_type="last",
        norm_layer=lambda width: torch.nn.LayerNorm(width, eps=1e-6),
    )
    sigmoid = {
        "classToken": False,
        "patchBias": True,
        "preNorm": False,
        "pool": "map",
        "projection": "none",
        "epsilon": 1e-6,
    }
    make(
        "siglip-open-clip",
        {
            "embedDim": 32,
            "imageSize": 24,
            "vision": {"kind": "vit", **tower(32, 2, 2), "patchSize": 8, "mlpWidth": 119, **sigmoid},
            "text": {**ours, "causal": False, "pool": "last", "projection": "linear", "epsilon": 1e-6},
            "activation": "gelu",
            "logitBias": True,
        },
        (SigLIP(trunk, tower_of_text), siglip_tensors),
        60,
    )
    # The same as transformers has it, with pixels left over beyond the last patch (so400m-patch14-384).
    make(
        "siglip-hugging-face",
        {
            "embedDim": 32,
            "imageSize": 30,
            "vision": {"kind": "vit", **tower(32, 2, 2), "patchSize": 8, "mlpWidth": 48, **sigmoid},
            "text": {**ours, "mlpWidth": 40, "causal": False, "pool": "last", "projection": "linear", "epsilon": 1e-6},
            "activation": "geluTanh",
            "logitBias": True,
        },
        (
            HuggingFace(
                vision_config={"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48, "image_size": 30, "patch_size": 8},
                text_config={"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 40, "vocab_size": 60, "max_position_embeddings": 9, "projection_size": 32},
            ),
            hugging_face_tensors,
        ),
        70,
    )
    positions()


def positions():
    """Positional embeddings at other sizes, as open_clip resizes them on loading, and as transformers does on the fly."""
    torch.manual_seed(80)
    out = {}
    for old, new in ((4, 6), (7, 5), (3, 7), (7, 3), (5, 5)):
        embedding = torch.randn(old * old + 1, 6)
        state = {"visual.positional_embedding": embedding.double()}
        resize_pos_embed(state, types.SimpleNamespace(visual=types.SimpleNamespace(grid_size=(new, new))))
        out[f"{old}-{new}.from"] = embedding
        out[f"{old}-{new}.open_clip"] = state["visual.positional_embedding"].clone().contiguous()
        config = SiglipConfig(vision_config={"hidden_size": 6, "num_attention_heads": 1, "num_hidden_layers": 1, "image_size": 8 * old, "patch_size": 8})
        embeddings = SiglipModel(config).vision_model.embeddings.double()
        with torch.no_grad():
            embeddings.position_embedding.weight.copy_(embedding[1:])
            resized = embeddings.interpolate_pos_encoding(torch.zeros(1, new * new, 6, dtype=torch.float64), 8 * new, 8 * new)
        out[f"{old}-{new}.transformers"] = resized[0].clone().contiguous()
    save_file(out, FOLDER / "positions.safetensors")


def published():
    """All of open_clip's configurations that clip-ts has in a table: parameters, a digest of names and shapes, what shapes do not say."""
    out = {}
    for name in open_clip.list_models():
        config = open_clip.get_model_config(name)
        vision, text = config["vision_cfg"], config["text_cfg"]
        trunk = vision.get("timm_model_name")
        if isinstance(vision.get("layers"), list) or text.get("hf_model_name") or "multimodal_cfg" in config or (trunk and "_siglip_" not in trunk):
            continue
        model = {k: v for k, v in config.items() if k not in ("custom_text", "multimodal_cfg")}
        with torch.device("meta"):
            made = (open_clip.model.CustomTextCLIP if config.get("custom_text") else open_clip.model.CLIP)(**model)
        names = {}
        for key, p in made.named_parameters():
            if key.startswith("visual.trunk."):
                key = "visual." + timm_name(key.removeprefix("visual.trunk."))
            shape = list(p.shape)
            names[key.removeprefix("text.")] = shape[1:] if key == "visual.positional_embedding" and len(shape) == 3 else shape
        lines = "".join(f"{key} {shape}\n" for key, shape in sorted(names.items())).replace(", ", ",")
        blocks = made.visual.trunk.blocks if trunk else made.visual.transformer.resblocks
        texts = (made.text if config.get("custom_text") else made).transformer.resblocks
        out[name] = {
            "parameters": sum(math.prod(shape) for shape in names.values()),
            "shapes": hashlib.sha256(lines.encode()).hexdigest(),
            "heads": [blocks[0].attn.num_heads, texts[0].attn.num_heads],
            "activations": [activation(blocks[0].mlp.act if trunk else blocks[0].mlp.gelu), activation(texts[0].mlp.gelu)],
            "epsilon": [(blocks[0].norm1 if trunk else blocks[0].ln_1).eps, texts[0].ln_1.eps],
            "text": [not text.get("no_causal_mask", False), text.get("pool_type", "argmax"), text.get("eos_id") if text.get("pool_type") == "eos" else None],
            "image": [vision["image_size"], vision.get("timm_pool") or vision.get("pool_type", "tok"), vision.get("final_ln_after_pool", False)],
        }
    lines = [f" {json.dumps(name)}: {json.dumps(entry)}" for name, entry in out.items()]
    (FOLDER / "open_clip_configs.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def activation(module):
    kind = type(module).__name__
    tanh = kind == "GELUTanh" or getattr(module, "approximate", "none") == "tanh"
    return "quickGelu" if kind == "QuickGELU" else "geluTanh" if tanh else "gelu"


if __name__ == "__main__":
    main()
    published()
