"""The peers of bench/gpu.sh: gpu_peer.py jax|torch --batch N --steps N --warmup N [--cpu] prints a line of JSON as bench/gpu/step.ts does.

The same step as ours: ViT-B/32 with QuickGELU, texts that fill the context, pictures as bytes from the host; matrix products in bfloat16,
weights, moments, normalisation, softmax and loss in float32; AdamW, the clamp of the logit scale.
"""

import argparse
import json
import math
import time

import numpy as np

CONFIG = {
    "imageSize": 224,
    "embedDim": 512,
    "vision": {"kind": "vit", "width": 768, "layers": 12, "heads": 12, "patchSize": 32},
    "text": {"contextLength": 77, "vocabSize": 49408, "width": 512, "layers": 12, "heads": 8},
}
SMALL = {
    "imageSize": 64,
    "embedDim": 64,
    "vision": {"kind": "vit", "width": 64, "layers": 2, "heads": 2, "patchSize": 32},
    "text": {"contextLength": 16, "vocabSize": 512, "width": 64, "layers": 2, "heads": 2},
}
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
RATE, ADAM = 5e-4, {"beta1": 0.9, "beta2": 0.98, "epsilon": 1e-6, "weightDecay": 0.2}


def batches(config, batch):
    random = np.random.default_rng(0)
    size, text = config["imageSize"], config["text"]
    for _ in range(2):
        images = random.integers(0, 256, (batch, size, size, 3), np.uint8)
        tokens = random.integers(1, text["vocabSize"] - 2, (batch, text["contextLength"]), np.int32)
        tokens[:, -1] = text["vocabSize"] - 1
        yield images, tokens


def jax_side(config, dtype):
    import jax
    from jax_model import Trainer

    trainer = Trainer(config, ADAM, RATE, dtype)
    return trainer.step, float, trainer.parameters, f"jax {jax.__version__} {jax.default_backend()}"


def torch_side(config, batch, dtype, cpu):
    import torch
    import torch.nn.functional as F
    from clip_model import CLIP

    device = "cpu" if cpu else "cuda"
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = True
    model = CLIP(config).to(device)
    forward = model if cpu else torch.compile(model)
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    plain = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": ADAM["weightDecay"]}, {"params": plain, "weight_decay": 0.0}]
    betas = (ADAM["beta1"], ADAM["beta2"])
    adam = torch.optim.AdamW(groups, lr=RATE, betas=betas, eps=ADAM["epsilon"], fused=True)
    mean, deviation = (torch.tensor(x, device=device).view(1, 3, 1, 1) for x in (MEAN, DEVIATION))
    targets = torch.arange(batch, device=device)

    def run(images, tokens):
        images = torch.from_numpy(images).to(device, non_blocking=True).permute(0, 3, 1, 2)
        tokens = torch.from_numpy(tokens).to(device, non_blocking=True).long()
        with torch.autocast(device, dtype=torch.bfloat16, enabled=dtype == "bfloat16"):
            image, text, scale = forward((images.float() / 255 - mean) / deviation, tokens)
        logits = scale * image.float() @ text.float().T
        loss = (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
        return loss.detach()

    return run, lambda loss: loss.item(), sum(p.numel() for p in model.parameters()), f"torch {torch.__version__} {device}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=["jax", "torch"])
    for name, default in (("batch", 1024), ("steps", 20), ("warmup", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--small", action="store_true", help="a look at whether it runs")
    flags = parser.parse_args()
    config = SMALL if flags.small else CONFIG
    if flags.side == "jax":
        run, value, parameters, engine = jax_side(config, flags.precision)
    else:
        run, value, parameters, engine = torch_side(config, flags.batch, flags.precision, flags.cpu)
    inputs = list(batches(config, flags.batch))
    begun = time.perf_counter()
    first = value(run(*inputs[0]))
    first_step = time.perf_counter() - begun

    def timed(count):
        """The next step is sent before the last one's loss is here."""
        start, before = time.perf_counter(), run(*inputs[0])
        for i in range(1, count):
            before, last = run(*inputs[i % 2]), before
            value(last)
        loss = value(before)
        return (time.perf_counter() - start) / count, loss

    timed(flags.warmup)
    blocks, loss = [], math.nan
    for _ in range(4):
        seconds, loss = timed(max(1, math.ceil(flags.steps / 4)))
        blocks.append(seconds)
    shown = {"side": flags.side, "engine": engine, "model": "small" if flags.small else "ViT-B/32", "batch": flags.batch}
    shown |= {"precision": flags.precision, "parameters": parameters, "firstStep": first_step}
    shown |= {"compiling": max(0.0, first_step - min(blocks)), "firstLoss": first, "loss": loss, "seconds": blocks}
    print(json.dumps(shown), flush=True)


main()
