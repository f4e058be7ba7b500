"""Whether jax_model.py computes what clip_model.py does in float64: the same weights and inputs, losses and gradients of a few steps."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import torch
from clip_model import CLIP, Bottleneck
from jax_model import Trainer
from torch_side import TorchSide

TEXT = {"contextLength": 24, "vocabSize": 2560, "width": 128, "layers": 4, "heads": 2}
SMALL = {"imageSize": 64, "embedDim": 128, "text": TEXT, "activation": "quickGelu"}
CONFIGS = {
    "ResNet": SMALL | {"vision": {"kind": "resnet", "width": 16, "layers": [1, 1, 1, 1], "heads": 8}},
    "ViT": SMALL | {"vision": {"kind": "vit", "width": 192, "layers": 6, "heads": 3, "patchSize": 8}},
}
ADAM = {"beta1": 0.9, "beta2": 0.98, "epsilon": 1e-6, "weightDecay": 0.1, "maxNorm": 1}
BATCH, LENGTH, STEPS, RATE = 32, 18, 5, 1e-4

array = lambda tensor: jnp.array(tensor.detach().numpy())
linear = lambda layer: {"weight": array(layer.weight.T), "bias": array(layer.bias)}
norm = lambda layer: {"gain": array(layer.weight), "bias": array(layer.bias)}


def blocks(layers):
    return [
        {
            **{"ln_1": norm(block.ln_1), "qkv": linear(block.qkv), "out": linear(block.out)},
            **{"ln_2": norm(block.ln_2), "fc": linear(block.mlp[0]), "proj": linear(block.mlp[2])},
        }
        for block in layers
    ]


def convs(layers):
    """Of a sequence of convolutions, each with its normalisation behind it."""
    found = [layer for layer in layers.modules() if isinstance(layer, (torch.nn.Conv2d, torch.nn.BatchNorm2d))]
    return [{"kernel": kernel_of(conv)} | norm(bn) for conv, bn in zip(found[::2], found[1::2])]


def kernel_of(conv):
    return array(conv.weight.permute(2, 3, 1, 0))


def of_torch(model):
    """The parameters of clip_model.CLIP as jax_model.py has them."""
    visual, text = model.visual, model.text
    if isinstance(visual, torch.nn.Sequential):
        residual = [layer for layer in visual if isinstance(layer, Bottleneck)]
        pool = visual[-1]
        own = {
            "stem": convs(torch.nn.Sequential(*list(visual)[:3])),
            "blocks": [{"body": convs(b.body), "shortcut": next(iter(convs(b.shortcut)), None)} for b in residual],
            "pool": {name: linear(getattr(pool, name)) for name in "qkvc"} | {"positions": array(pool.positions)},
        }
    else:
        own = {"conv": kernel_of(visual.conv), "blocks": blocks(visual.blocks)}
        own |= {name: array(getattr(visual, name)) for name in ("cls", "positions", "proj")}
        own |= {name: norm(getattr(visual, name)) for name in ("ln_pre", "ln_post")}
    textual = {"tokens": array(text.tokens.weight), "blocks": blocks(text.blocks), "ln_final": norm(text.ln_final)}
    textual |= {"positions": array(text.positions), "proj": array(text.proj)}
    return {"visual": own, "text": textual, "logit_scale": array(model.logit_scale)}


def check(name, config):
    random = np.random.default_rng(0)
    job = {"config": config, "batch": BATCH, "adam": ADAM, "learningRate": RATE, "peer": "own", "threads": 2}
    theirs = TorchSide(job, "eager")
    theirs.model.double()
    trainers = {dtype: Trainer(config, ADAM, RATE, dtype) for dtype in ("float32", "bfloat16")}
    for trainer in trainers.values():
        expected = jax.tree.map(jnp.shape, trainer.state["p"])
        trainer.state["p"] = of_torch(theirs.model)
        assert jax.tree.map(jnp.shape, trainer.state["p"]) == expected, "the models differ"
    side = config["imageSize"]
    for step in range(STEPS):
        pictures = random.integers(0, 256, (BATCH, side, side, 3)).astype(np.float32)
        tokens = random.integers(1, 2558, (BATCH, LENGTH), np.int32)
        tokens[np.arange(BATCH), random.integers(3, LENGTH, BATCH)] = 2559
        losses = {dtype: float(trainer.step(pictures, tokens)) for dtype, trainer in trainers.items()}
        images, texts = theirs.inputs(pictures, tokens)
        expected = theirs.step(images.double(), texts)
        print(f"{name}, step {step}: PyTorch {expected:.7f}, JAX {losses['float32']:.7f}, in bfloat16 {losses['bfloat16']:.7f}")
        assert abs(losses["float32"] - expected) < 1e-4 and abs(losses["bfloat16"] - expected) < 0.05, "the losses differ"
        if step == 0:
            gradients = jax.tree.map(lambda m: m / (1 - ADAM["beta1"]), trainers["float32"].state["m"])
            difference = furthest(gradients_of(theirs.model), gradients)
            print(f"{name}: gradients differ by at most {difference:.1e}, the norm of all being at most 1")
            assert difference < 1e-3, "the gradients differ"  # as much as one ReLU that rounding opens or shuts


def gradients_of(model):
    like = copy.deepcopy(model)
    for parameter, own in zip(like.parameters(), model.parameters()):
        parameter.data = own.grad
    return of_torch(like)


def furthest(a, b):
    return max(jax.tree.leaves(jax.tree.map(lambda a, b: float(abs(a - b).max()), a, b)))


for name, config in CONFIGS.items():
    check(name, config)
