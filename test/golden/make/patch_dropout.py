"""Models of variants.py under the libraries' own patch dropout: which patches were kept, features, loss and gradients.

Writes test/golden/variants/patch-dropout.json. Run with the versions of variants.py:

    python test/golden/make/patch_dropout.py
"""

import json
import re

import timm
import torch
from open_clip.transformer import PatchDropout, TextTransformer
from safetensors.torch import load_file
from variants import FOLDER, SigLIP, clip, disturb, gradients, loss_of, run, siglip_tensors

SEED, RATE, PATCHES = 5, 0.5, 9


def made(name, build, seed, kept_of, images_only):
    """kept_of: the kept patches from the random numbers that the library draws."""
    model, tensors_of = build
    disturb(model, seed)
    stored = load_file(FOLDER / f"{name}.safetensors")
    for key, tensor in tensors_of(model).items():
        assert torch.equal(tensor.detach().half(), stored[f"weights.{key}"]), key
    config = json.loads((FOLDER / f"{name}.json").read_text())["config"]
    model.double()
    images_only(model).train()
    torch.manual_seed(SEED)
    image, text, logits = run(model, stored["images"].double(), stored["tokens"], config)
    torch.manual_seed(SEED)
    kept = kept_of(torch.randn(len(image), PATCHES))
    loss = loss_of(logits, config)
    loss.backward()
    return {
        "patches": kept.tolist(),
        "imageFeatures": image.tolist(),
        "loss": loss.item(),
        "gradients": gradients(model, tensors_of),
    }


def main():
    text = {"context_length": 9, "vocab_size": 60, "width": 24, "heads": 2, "layers": 2}
    count = max(1, int(PATCHES * (1 - RATE)))
    out = {}
    model = clip(
        16,
        {"image_size": 24, "layers": 2, "width": 40, "head_width": 20, "patch_size": 8, "mlp_ratio": 4.3637, "patch_dropout": RATE},
        {**text, "mlp_ratio": 3.7362, "pool_type": "eos", "eos_id": 2},
    )
    assert isinstance(model[0].visual.patch_dropout, PatchDropout)
    out["open-clip-wide"] = made("open-clip-wide", model, 10, lambda r: r.topk(count, dim=-1).indices, lambda m: m.visual)
    trunk = timm.models.vision_transformer.VisionTransformer(
        img_size=24, patch_size=8, embed_dim=32, depth=2, num_heads=2, mlp_ratio=3.7362, class_token=False, global_pool="map", num_classes=0,
        patch_drop_rate=RATE,
    )
    tower = TextTransformer(
        context_length=9, vocab_size=60, width=24, heads=2, layers=2, output_dim=32, no_causal_mask=True, proj_bias=True, pool_type="last",
        norm_layer=lambda width: torch.nn.LayerNorm(width, eps=1e-6),
    )
    out["siglip-open-clip"] = made(
        "siglip-open-clip", (SigLIP(trunk, tower), siglip_tensors), 60, lambda r: r.argsort(dim=-1)[:, :count], lambda m: m.trunk
    )
    lines = re.sub(r"\[\s+([^\[\]]*?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", json.dumps(out, indent=1))
    (FOLDER / "patch-dropout.json").write_text(lines + "\n")


if __name__ == "__main__":
    main()
