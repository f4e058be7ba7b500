"""Features of published architectures at full size, with weights that are generated from names (../fullsize/generator.json).

Writes ../fullsize/<model>.json and .safetensors. open_clip's classes with quick_gelu are the official ones' equals; captions,
tokens and the check of the generator are those of the files that were computed with the official code. Needs open_clip_torch
3.3.0, torch 2.15.0, 12 GB of memory for RN50x64:

    python fullsize.py RN101 RN50x4 RN50x16 RN50x64 ViT-B-16 ViT-L-14-336
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from safetensors.numpy import load_file, save_file

FOLDER = Path(__file__).parent.parent / "fullsize"


def seed_of(name):
    h = 0x811C9DC5
    for byte in name.encode():
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return h


def uniform(name, count):
    x = np.uint32(seed_of(name)) + np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return ((x >> np.uint32(8)).astype(np.int32) - (1 << 23)).astype(np.float32) / np.float32(1 << 23)


def rule(name, shape):
    """Centre and scale."""
    parent, leaf = (["", *name.split(".")])[-2:]
    unit = math.sqrt(3)
    if name == "logit_scale":
        return math.log(1 / 0.07), 0
    if leaf in ("running_mean", "running_var"):
        return (0, 0.1) if leaf == "running_mean" else (1, 0.2)
    if leaf in ("bias", "in_proj_bias"):
        return 0, 0.1
    if leaf == "weight" and len(shape) == 1:
        return (0.3 if parent == "bn3" and ".layer" in name else 1), 0.1
    if len(shape) == 4:
        return 0, unit * math.sqrt((1 if shape[1] == 3 else 2) / math.prod(shape[1:]))
    if name == "token_embedding.weight":
        return 0, 1
    if leaf in ("positional_embedding", "class_embedding"):
        return 0, 0.5
    if leaf in ("text_projection", "proj"):
        return 0, unit * math.sqrt(1 / shape[0])
    return 0, (3 if parent in ("q_proj", "k_proj") else 1) * unit * math.sqrt(1 / shape[1])


def generated(name, shape):
    centre, scale = map(np.float32, rule(name, shape))
    return (centre + uniform(name, math.prod(shape)) * scale).reshape(shape)


def image(name, size):
    at = np.arange(size) * 8 // size
    coarse = uniform(f"{name}.coarse", 192).reshape(3, 8, 8)[:, at][:, :, at]
    return coarse * np.float32(1.5) + uniform(f"{name}.fine", 3 * size * size).reshape(3, size, size) * np.float32(0.5)


def bitsum(values):
    return int(np.ascontiguousarray(values, np.float32).view(np.uint32).sum(dtype=np.uint64) & np.uint64(0xFFFFFFFF))


def watch(model, blocks):
    """Statistics of what each block gives, under the names of the official files."""

    def keep(name):
        def hook(_module, _input, out):
            blocks.append({"name": name, "rms": out.square().mean().sqrt().item(), "mean": out.mean().item()})

        return hook

    for name, module in model.named_modules():
        parts = name.split(".")
        if parts[:-1] == ["visual", "transformer", "resblocks"]:
            module.register_forward_hook(keep(f"visual.resblocks.{parts[-1]}"))
        elif parts[:-1] == ["transformer", "resblocks"]:
            module.register_forward_hook(keep(f"text.resblocks.{parts[-1]}"))
        elif len(parts) == 2 and parts[1].startswith("layer"):
            module.register_forward_hook(keep(name))


@torch.no_grad()
def make(file):
    known = json.loads((FOLDER / "RN50.json").read_text())
    config = open_clip.get_model_config(file)
    with torch.device("meta"):
        model = open_clip.model.CLIP(**(config | {"quick_gelu": True}))
    model.to_empty(device="cpu").double().eval()
    sums = 0
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        values = generated(name, tuple(tensor.shape))
        sums = (sums + bitsum(values)) & 0xFFFFFFFF
        tensor.copy_(torch.from_numpy(values))
    size = config["vision_cfg"]["image_size"]
    mask = torch.full((77, 77), -math.inf, dtype=torch.float64).triu(1)
    model.attn_mask = mask  # not in the state: meta tensors have no values
    images = np.stack([image(name, size) for name in known["images"]])
    tokens = torch.tensor(known["tokens"])
    blocks = []
    watch(model, blocks)
    features = torch.cat([model.encode_image(torch.from_numpy(images).double()[i : i + 2]) for i in range(0, 2, 2)])
    texts = model.encode_text(tokens)
    logits = model.logit_scale.exp() * F.normalize(features, dim=-1) @ F.normalize(texts, dim=-1).T
    out = {"f64.image_features": features, "f64.text_features": texts, "f64.logits_per_image": logits}
    out = {k: v.numpy() for k, v in out.items()}
    if (FOLDER / f"{file}.json").exists() and "tensors" in json.loads((FOLDER / f"{file}.json").read_text()):
        official = load_file(FOLDER / f"{file}.safetensors")
        for key, ours in out.items():
            print(file, key, "differs from the official code's by", np.abs(ours - official[key]).max() / np.abs(ours).max())
        return
    save_file(out, FOLDER / f"{file}.safetensors")
    report = {
        "model": file,
        "images": known["images"],
        "image_bitsum": [bitsum(x) for x in images],
        "tokens": known["tokens"],
        "parameters": sum(p.numel() for p in model.parameters()),
        "bitsum": sums,
        "blocks": blocks,
    }
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in report.items()]
    (FOLDER / f"{file}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(file, "written")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        make(argument)
