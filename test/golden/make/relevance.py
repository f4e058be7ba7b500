"""Heat maps of what pictures have in common with texts, by PyTorch: ../explain/relevance.json.

The models are ../models/tiny-vit and tiny-rn in open_clip's classes, in float64. For vision transformers the relevance of
Chefer et al. 2021 (arXiv 2103.15679, equations 5 and 6) with whole matrices and autograd through attention written out; once
with the class token and once, on the same weights, with the mean of the patches. For the ResNet Grad-CAM (arXiv 1610.02391)
on layer4. The score is exp(logit_scale) times the cosine. Needs torch, open_clip_torch 3.3.0, safetensors.

    python relevance.py > ../explain/relevance.json
"""
import json
from pathlib import Path

import torch
from open_clip.model import CLIP
from safetensors.torch import load_file

MODELS = Path(__file__).parent.parent / "models"
TEXT = {"context_length": 77, "vocab_size": 1000}
CONFIGS = {
    "tiny-vit": (64, {"image_size": 32, "layers": 2, "width": 128, "patch_size": 8}, {**TEXT, "width": 128, "heads": 2, "layers": 2}),
    "tiny-rn": (48, {"image_size": 64, "layers": (1, 1, 1, 1), "width": 8, "head_width": 64}, {**TEXT, "width": 64, "heads": 1, "layers": 1}),
}


class PlainAttention(torch.nn.Module):
    """MultiheadAttention written out; keeps its probabilities."""

    def __init__(self, attention):
        super().__init__()
        self.inner = attention
        self.probabilities = None

    def forward(self, q, k, v, **_):
        heads = self.inner.num_heads
        projected = torch.nn.functional.linear(q, self.inner.in_proj_weight, self.inner.in_proj_bias)
        query, key, value = (
            part.unflatten(-1, (heads, -1)).transpose(-3, -2) for part in projected.chunk(3, dim=-1)
        )  # [batch, heads, tokens, size]
        scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
        self.probabilities = scores.softmax(-1)
        self.probabilities.retain_grad()
        mixed = (self.probabilities @ value).transpose(-3, -2).flatten(-2)
        return self.inner.out_proj(mixed), None


def build(name, **vision):
    width, vision_cfg, text_cfg = CONFIGS[name]
    model = CLIP(width, {**vision_cfg, **vision}, text_cfg, quick_gelu=True).double().eval()
    state = load_file(MODELS / name / "model_f16.safetensors")
    state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all(key.endswith(("num_batches_tracked", "attn_mask")) for key in missing), (missing, unexpected)
    return model


def normalised(x):
    return x / x.norm(dim=-1, keepdim=True)


def score(model, features, text):
    return model.logit_scale.exp() * (normalised(features) @ normalised(text))


def attention_relevance(model, image, text, pool):
    blocks = model.visual.transformer.resblocks
    features = model.encode_image(image)[0]
    model.zero_grad()
    score(model, features, text).backward()
    relevance = None
    for block in blocks:
        probabilities = block.attn.probabilities
        weighted = (probabilities.grad * probabilities).clamp(min=0)[0].mean(0)
        if relevance is None:
            relevance = torch.eye(len(weighted), dtype=torch.float64)
        relevance = relevance + weighted @ relevance
    relevance = relevance - torch.eye(len(relevance), dtype=torch.float64)
    row = relevance[0] if pool == "tok" else relevance[1:].mean(0)
    return row[1:], features


def grad_cam(model, image, text):
    kept = []
    handle = model.visual.layer4.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    features = model.encode_image(image)[0]
    handle.remove()
    [slope] = torch.autograd.grad(score(model, features, text), kept)
    weights = slope.mean((2, 3), keepdim=True)
    return (kept[0] * weights).sum(1).clamp(min=0).flatten(), features


def cases():
    for name, pool in [("tiny-vit", "tok"), ("tiny-vit", "avg"), ("tiny-rn", None)]:
        model = build(name, **({"pool_type": pool} if pool else {}))
        if pool:
            for block in model.visual.transformer.resblocks:
                block.attn = PlainAttention(block.attn)
        expected = load_file(MODELS / name / "expected.safetensors")
        images = expected["images"].double()
        texts = expected["f64.text_features"]
        for i in range(3):
            found = attention_relevance(model, images[i : i + 1], texts[i], pool) if pool else grad_cam(model, images[i : i + 1], texts[i])
            heat, features = (x.detach() for x in found)
            if pool != "avg":
                assert torch.allclose(features, expected["f64.image_features"][i], rtol=1e-9), "not the official features"
            yield {"model": name, "pool": pool, "pair": i, "heat": heat.tolist()}


print(json.dumps(list(cases())))
