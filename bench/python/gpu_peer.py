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
RATE, BETA1, BETA2, EPSILON, DECAY = 5e-4, 0.9, 0.98, 1e-6, 0.2


def batches(config, batch):
    random = np.random.default_rng(0)
    size, text = config["imageSize"], config["text"]
    for _ in range(2):
        images = random.integers(0, 256, (batch, size, size, 3), np.uint8)
        tokens = random.integers(1, text["vocabSize"] - 2, (batch, text["contextLength"]), np.int32)
        tokens[:, -1] = text["vocabSize"] - 1
        yield images, tokens


def jax_side(config, batch, dtype):
    import jax
    import jax.numpy as jnp

    random = np.random.default_rng(1)
    normal = lambda deviation, *shape: (deviation * random.standard_normal(shape)).astype(np.float32)

    def tower(width, layers):
        attention, out = width**-0.5, width**-0.5 * (2 * layers) ** -0.5
        block = lambda: {
            "ln_1": (np.ones(width, np.float32), np.zeros(width, np.float32)),
            "ln_2": (np.ones(width, np.float32), np.zeros(width, np.float32)),
            "qkv": (normal(attention, width, 3 * width), np.zeros(3 * width, np.float32)),
            "out": (normal(out, width, width), np.zeros(width, np.float32)),
            "wide": (normal((2 * width) ** -0.5, width, 4 * width), np.zeros(4 * width, np.float32)),
            "narrow": (normal(out, 4 * width, width), np.zeros(width, np.float32)),
        }
        return [block() for _ in range(layers)]

    vision, text, embed = config["vision"], config["text"], config["embedDim"]
    size, patch, vw, tw = config["imageSize"], vision["patchSize"], vision["width"], text["width"]
    norm = lambda width: (np.ones(width, np.float32), np.zeros(width, np.float32))
    parameters = {
        "patches": normal(0.02, 3 * patch**2, vw),
        "class": normal(vw**-0.5, vw),
        "places": normal(vw**-0.5, (size // patch) ** 2 + 1, vw),
        "ln_pre": norm(vw),
        "vision": tower(vw, vision["layers"]),
        "ln_post": norm(vw),
        "vision_out": normal(vw**-0.5, vw, embed),
        "tokens": normal(0.02, text["vocabSize"], tw),
        "text_places": normal(0.01, text["contextLength"], tw),
        "text": tower(tw, text["layers"]),
        "ln_final": norm(tw),
        "text_out": normal(tw**-0.5, tw, embed),
        "scale": np.float32(math.log(1 / 0.07)),
    }

    def layer_norm(x, gain_bias):
        x = x.astype(jnp.float32)
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return ((x - mean) * jax.lax.rsqrt(variance + 1e-5) * gain_bias[0] + gain_bias[1]).astype(dtype)

    def linear(x, weight_bias):
        return x.astype(dtype) @ weight_bias[0].astype(dtype) + weight_bias[1].astype(dtype)

    def block(x, p, heads, causal):
        width = x.shape[-1]
        q, k, v = jnp.split(linear(layer_norm(x, p["ln_1"]), p["qkv"]), 3, -1)
        split = lambda y: y.reshape(*y.shape[:2], heads, width // heads)
        y = jax.nn.dot_product_attention(split(q), split(k), split(v), is_causal=causal)
        x = x + linear(y.reshape(x.shape), p["out"])
        y = linear(layer_norm(x, p["ln_2"]), p["wide"])
        return x + linear(y * jax.nn.sigmoid(1.702 * y), p["narrow"])

    def features(p, images, tokens):
        x = (images.astype(jnp.float32) / 255 - MEAN) / DEVIATION
        side = size // patch
        x = x.reshape(batch, side, patch, side, patch, 3).transpose(0, 1, 3, 5, 2, 4).reshape(batch, side**2, -1)
        x = x.astype(dtype) @ p["patches"].astype(dtype)
        first = jnp.broadcast_to(p["class"].astype(dtype), (batch, 1, vw))
        x = layer_norm(jnp.concatenate([first, x], 1) + p["places"].astype(dtype), p["ln_pre"])
        for layer in p["vision"]:
            x = block(x, layer, vision["heads"], False)
        image = layer_norm(x[:, 0], p["ln_post"]) @ p["vision_out"].astype(dtype)
        x = (p["tokens"][tokens] + p["text_places"]).astype(dtype)
        for layer in p["text"]:
            x = block(x, layer, text["heads"], True)
        ends = x[jnp.arange(batch), tokens.argmax(-1)]
        return image, layer_norm(ends, p["ln_final"]) @ p["text_out"].astype(dtype)

    def loss_of(p, images, tokens):
        unit = lambda x: x.astype(jnp.float32) / jnp.linalg.norm(x.astype(jnp.float32), axis=-1, keepdims=True)
        image, texts = map(unit, features(p, images, tokens))
        logits = jnp.exp(p["scale"]) * image @ texts.T
        own = jnp.diagonal(logits)
        return (2 * -own + jax.nn.logsumexp(logits, 1) + jax.nn.logsumexp(logits, 0)).mean() / 2

    def step(state, images, tokens):
        p, m, v, count = state
        loss, gradients = jax.value_and_grad(loss_of)(p, images, tokens)
        count = count + 1
        m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, gradients)
        v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, gradients)
        to_m, to_v = 1 / (1 - BETA1**count), 1 / (1 - BETA2**count)

        def updated(p, m, v):
            decay = DECAY if p.ndim >= 2 else 0.0
            return p - RATE * (m * to_m / (jnp.sqrt(v * to_v) + EPSILON) + decay * p)

        p = jax.tree.map(updated, p, m, v)
        p["scale"] = jnp.clip(p["scale"], 0, math.log(100))
        return (p, m, v, count), loss

    parameters = jax.tree.map(jnp.asarray, parameters)
    zeros = lambda: jax.tree.map(jnp.zeros_like, parameters)
    state = [(parameters, zeros(), zeros(), jnp.float32(0))]
    compiled = jax.jit(step, donate_argnums=0)

    def run(images, tokens):
        state[0], loss = compiled(state[0], images, tokens)
        return loss

    count = sum(x.size for x in jax.tree.leaves(parameters))
    return run, float, count, f"jax {jax.__version__} {jax.default_backend()}"


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
    groups = [{"params": decayed, "weight_decay": DECAY}, {"params": plain, "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, lr=RATE, betas=(BETA1, BETA2), eps=EPSILON, fused=True)
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
        run, value, parameters, engine = jax_side(config, flags.batch, flags.precision)
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
