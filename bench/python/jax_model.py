"""CLIP in plain JAX, the networks of clip_model.py, and its training step.

Pictures are [batch, height, width, channels], kernels [height, width, in, out], weights [in, out]. Matrix products and convolutions are
computed in `dtype`; parameters, moments, statistics, softmax and loss are float32. `config` is the ClipConfig of src/model/config.ts.
"""

import math
import time

import jax
import jax.numpy as jnp
import numpy as np

MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
EPSILON, MOMENTUM = 1e-5, 0.1


def initialise(config, seed=0):
    """(parameters, statistics of batch normalisations: a list in the order of the layers)."""
    random, statistics = np.random.default_rng(seed), []
    normal = lambda deviation, *shape: jnp.asarray(deviation * random.standard_normal(shape), jnp.float32)
    norm = lambda width: {"gain": jnp.ones(width), "bias": jnp.zeros(width)}

    def linear(into, out, deviation=None):
        return {"weight": normal(deviation or into**-0.5, into, out), "bias": jnp.zeros(out)}

    def transformer(width, layers):
        added = width**-0.5 * (2 * layers) ** -0.5
        block = lambda: {
            **{"ln_1": norm(width), "qkv": linear(width, 3 * width), "out": linear(width, width, added)},
            **{"ln_2": norm(width), "fc": linear(width, 4 * width, (2 * width) ** -0.5), "proj": linear(4 * width, width, added)},
        }
        return [block() for _ in range(layers)]

    def conv_norm(into, out, side, gain=1.0):
        statistics.append((jnp.zeros(out), jnp.ones(out)))
        kernel = normal((3 * side * side * into) ** -0.5, side, side, into, out)
        return {"kernel": kernel, "gain": jnp.full(out, gain), "bias": jnp.zeros(out)}

    def bottleneck(into, planes, stride):
        body = [conv_norm(into, planes, 1), conv_norm(planes, planes, 3), conv_norm(planes, 4 * planes, 1, gain=0.0)]
        changes = stride > 1 or into != 4 * planes
        return {"body": body, "shortcut": conv_norm(into, 4 * planes, 1) if changes else None}

    vision, text, embed, size = config["vision"], config["text"], config["embedDim"], config["imageSize"]
    width = vision["width"]
    if vision["kind"] == "vit":
        patch = vision["patchSize"]
        visual = {
            **{"conv": normal((3 * 3 * patch**2) ** -0.5, patch, patch, 3, width), "cls": normal(width**-0.5, width)},
            **{"positions": normal(width**-0.5, (size // patch) ** 2 + 1, width), "ln_pre": norm(width)},
            **{"blocks": transformer(width, vision["layers"]), "ln_post": norm(width)},
            "proj": normal(width**-0.5, width, embed),
        }
    else:
        stem = [conv_norm(3, width // 2, 3), conv_norm(width // 2, width // 2, 3), conv_norm(width // 2, width, 3)]
        blocks, into = [], width
        for planes, stride in bottlenecks(vision):
            blocks.append(bottleneck(into, planes, stride))
            into = 4 * planes
        pool = {"positions": normal(into**-0.5, (size // 32) ** 2 + 1, into), "c": linear(into, embed)}
        visual = {"stem": stem, "blocks": blocks, "pool": pool | {name: linear(into, into) for name in "qkv"}}
    width = text["width"]
    textual = {
        **{"tokens": normal(0.02, text["vocabSize"], width), "positions": normal(0.01, text["contextLength"], width)},
        **{"blocks": transformer(width, text["layers"]), "ln_final": norm(width), "proj": normal(width**-0.5, width, embed)},
    }
    return {"visual": visual, "text": textual, "logit_scale": jnp.float32(math.log(1 / 0.07))}, statistics


def bottlenecks(vision):
    """(planes, stride) of each."""
    for stage, count in enumerate(vision["layers"]):
        for i in range(count):
            yield vision["width"] * 2**stage, 2 if stage > 0 and i == 0 else 1


def encoders(config, dtype):
    """The function (parameters, statistics, pictures, tokens) -> (image features, text features, new statistics)."""
    vision, text = config["vision"], config["text"]
    gelu = (lambda x: jax.nn.gelu(x, approximate=False)) if config.get("activation") == "gelu" else lambda x: x * jax.nn.sigmoid(1.702 * x)

    def layer_norm(x, p):
        x = x.astype(jnp.float32)
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return ((x - mean) * jax.lax.rsqrt(variance + EPSILON) * p["gain"] + p["bias"]).astype(dtype)

    product = lambda x, weight: x.astype(dtype) @ weight.astype(dtype)
    linear = lambda x, p: product(x, p["weight"]) + p["bias"].astype(dtype)

    def attention(q, k, v, heads, causal=False):
        split = lambda x: x.reshape(*x.shape[:2], heads, -1)
        return jax.nn.dot_product_attention(split(q), split(k), split(v), is_causal=causal).reshape(q.shape)

    def transformer(x, blocks, heads, causal):
        for p in blocks:
            q, k, v = jnp.split(linear(layer_norm(x, p["ln_1"]), p["qkv"]), 3, -1)
            x = x + linear(attention(q, k, v, heads, causal), p["out"])
            x = x + linear(gelu(linear(layer_norm(x, p["ln_2"]), p["fc"])), p["proj"])
        return x

    def convolved(x, kernel, stride=1, padding="SAME"):
        layout = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x.astype(dtype), kernel.astype(dtype), (stride, stride), padding, dimension_numbers=layout)

    def vision_transformer(p, x):
        x = convolved(x, p["conv"], vision["patchSize"], "VALID").reshape(x.shape[0], -1, vision["width"])
        first = jnp.broadcast_to(p["cls"].astype(dtype), (x.shape[0], 1, vision["width"]))
        x = layer_norm(jnp.concatenate([first, x], 1) + p["positions"].astype(dtype), p["ln_pre"])
        x = transformer(x, p["blocks"], vision["heads"], False)
        return product(layer_norm(x[:, 0], p["ln_post"]), p["proj"]), []

    def pooled(x, stride):
        batch, height, width, channels = x.shape
        return x.reshape(batch, height // stride, stride, width // stride, stride, channels).mean((2, 4)) if stride > 1 else x

    def modified_resnet(p, x, statistics):
        old, new = iter(statistics), []

        def conv_norm(x, p, stride=1):
            half = p["kernel"].shape[0] // 2
            x = convolved(x, p["kernel"], stride, [(half, half)] * 2).astype(jnp.float32)
            mean = x.mean((0, 1, 2))
            variance = jnp.square(x).mean((0, 1, 2)) - jnp.square(mean)
            count = x.size // x.shape[-1]
            moved = lambda before, now: (1 - MOMENTUM) * before + MOMENTUM * jax.lax.stop_gradient(now)
            mean_before, variance_before = next(old)
            new.append((moved(mean_before, mean), moved(variance_before, variance * count / (count - 1))))
            scale = p["gain"] * jax.lax.rsqrt(variance + EPSILON)
            return (x * scale + (p["bias"] - mean * scale)).astype(dtype)

        for i, layer in enumerate(p["stem"]):
            x = jax.nn.relu(conv_norm(x, layer, 2 if i == 0 else 1))
        x = pooled(x, 2)
        for block, (_, stride) in zip(p["blocks"], bottlenecks(vision)):
            narrow, middle, wide = block["body"]
            y = jax.nn.relu(conv_norm(jax.nn.relu(conv_norm(x, narrow)), middle))
            y = conv_norm(pooled(y, stride), wide)
            shortcut = block["shortcut"]
            x = jax.nn.relu(y + (x if shortcut is None else conv_norm(pooled(x, stride), shortcut)))
        p = p["pool"]
        x = x.reshape(x.shape[0], -1, x.shape[-1])
        x = jnp.concatenate([x.mean(1, keepdims=True), x], 1) + p["positions"].astype(dtype)
        x = attention(linear(x[:, :1], p["q"]), linear(x, p["k"]), linear(x, p["v"]), vision["heads"])
        return linear(x[:, 0], p["c"]), new

    def encode(p, statistics, pictures, tokens):
        x = (pictures.astype(jnp.float32) / 255 - MEAN) / DEVIATION
        image, statistics = vision_transformer(p["visual"], x) if vision["kind"] == "vit" else modified_resnet(p["visual"], x, statistics)
        p = p["text"]
        x = (p["tokens"][tokens] + p["positions"][: tokens.shape[1]]).astype(dtype)
        x = transformer(x, p["blocks"], text["heads"], True)
        ends = x[jnp.arange(x.shape[0]), tokens.argmax(-1)]
        return image, product(layer_norm(ends, p["ln_final"]), p["proj"]), statistics

    return encode


class Trainer:
    """Training from random weights; `adam` is the AdamW of src/train/optimizer.ts."""

    def __init__(self, config, adam, learning_rate, dtype="float32"):
        parameters, statistics = initialise(config)
        self.parameters = sum(leaf.size for leaf in jax.tree.leaves(parameters))
        zeros = lambda: jax.tree.map(jnp.zeros_like, parameters)
        self.state = {"p": parameters, "m": zeros(), "v": zeros(), "statistics": statistics, "step": jnp.float32(0)}
        self.jitted = jax.jit(train_step(config, adam, learning_rate, dtype), donate_argnums=0)
        self.programs, self.compile_seconds = {}, 0.0

    def step(self, pictures, tokens):
        """The loss, which may still be under way. Pictures are bytes, or floats from 0 to 255; each size of inputs is compiled once."""
        key = (pictures.shape, pictures.dtype, tokens.shape)
        if key not in self.programs:
            begun = time.perf_counter()
            self.programs[key] = self.jitted.lower(self.state, pictures, tokens).compile()
            self.compile_seconds += time.perf_counter() - begun
        self.state, loss = self.programs[key](self.state, pictures, tokens)
        return loss


def train_step(config, adam, learning_rate, dtype):
    encode = encoders(config, dtype)
    beta1, beta2, max_norm = adam["beta1"], adam["beta2"], adam.get("maxNorm")

    def loss_of(p, statistics, pictures, tokens):
        image, text, statistics = encode(p, statistics, pictures, tokens)
        unit = lambda x: x / jnp.linalg.norm(x, axis=-1, keepdims=True)
        logits = jnp.exp(p["logit_scale"]) * unit(image.astype(jnp.float32)) @ unit(text.astype(jnp.float32)).T
        own = jnp.diagonal(logits)
        return (jax.nn.logsumexp(logits, 0) + jax.nn.logsumexp(logits, 1) - 2 * own).mean() / 2, statistics

    def step(state, pictures, tokens):
        p = state["p"]
        (loss, statistics), g = jax.value_and_grad(loss_of, has_aux=True)(p, state["statistics"], pictures, tokens)
        if max_norm:
            norm = jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(g)))
            g = jax.tree.map(lambda g: g * jnp.minimum(1, max_norm / (norm + 1e-6)), g)
        count = state["step"] + 1
        m = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, state["m"], g)
        v = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, state["v"], g)
        to_m, to_v = 1 / (1 - beta1**count), 1 / (1 - beta2**count)

        def updated(p, m, v):
            decay = adam["weightDecay"] if p.ndim >= 2 else 0.0
            return p - learning_rate * (m * to_m / (jnp.sqrt(v * to_v) + adam["epsilon"]) + decay * p)

        p = jax.tree.map(updated, p, m, v)
        p["logit_scale"] = jnp.clip(p["logit_scale"], 0, math.log(100))
        return {"p": p, "m": m, "v": v, "statistics": statistics, "step": count}, loss

    return step
