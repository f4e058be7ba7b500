"""PyTorch's side of bench/training.ts: peer.py JOB eager|compiled|autocast. One JSON line is answered with one (bench/protocol.ts)."""

import json
import math
import platform
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from clip_model import CLIP

MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
DEVIATION = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)


def normalize(pixels):
    return (pixels / 255 - MEAN) / DEVIATION


def read_fixed(job):
    """The fixed inputs; captions as long as the longest of the batch, or open_clip's full context."""
    batch, size, context = job["batch"], job["config"]["imageSize"], job["config"]["text"]["contextLength"]
    data, image_bytes, start, inputs = np.fromfile(job["fixed"]["file"], np.uint8), batch * size * size * 3, 0, []
    for length in job["fixed"]["longest"]:
        end = start + image_bytes + batch * context * 4
        images = torch.from_numpy(data[start : start + image_bytes].reshape(batch, size, size, 3))
        tokens = torch.from_numpy(data[start + image_bytes : end].view(np.int32).reshape(batch, context)).long()
        used = context if job["peer"] == "open_clip" else length
        inputs.append((normalize(images.permute(0, 3, 1, 2).float()).contiguous(), tokens[:, :used].contiguous()))
        start = end
    return inputs


def own_side(job, compiled):
    """The model of the emoji recipes: (model, forward, loss)."""
    model = CLIP(job["config"])
    if job["config"]["vision"]["kind"] == "resnet":
        model.to(memory_format=torch.channels_last)
    if compiled:
        model.visual.compile(dynamic=False)
        model.text.compile(dynamic=True)
    targets = torch.arange(job["batch"])

    def loss(images, texts, scale):
        logits = scale * images @ texts.T
        return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2

    return model, model, loss


def open_clip_side(job, compiled):
    import open_clip

    model = open_clip.create_model("ViT-B-32-quickgelu" if job["config"]["activation"] == "quickGelu" else "ViT-B-32")
    return model, torch.compile(model) if compiled else model, open_clip.ClipLoss()


def optimizer(model, job):
    decayed, plain = [], []
    for name, parameter in model.named_parameters():
        (plain if parameter.ndim < 2 or "bias" in name or "logit_scale" in name else decayed).append(parameter)
    adam = job["adam"]
    groups = [{"params": decayed, "weight_decay": adam["weightDecay"]}, {"params": plain, "weight_decay": 0.0}]
    betas = (adam["beta1"], adam["beta2"])
    return torch.optim.AdamW(groups, lr=job["learningRate"], betas=betas, eps=adam["epsilon"], fused=True)


class Peer:
    def __init__(self, job, side):
        torch.set_num_threads(job["threads"])
        torch.manual_seed(0)
        sides = {"own": own_side, "open_clip": open_clip_side}
        self.model, self.forward, self.loss = sides[job["peer"]](job, side == "compiled")
        self.model.train()
        self.autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=side == "autocast")
        self.optimizer, self.max_norm = optimizer(self.model, job), job["adam"].get("maxNorm")
        self.channels_last = job["config"]["vision"]["kind"] == "resnet"
        self.fixed, self.position, self.pairs = read_fixed(job), 0, None
        if "pairs" in job:
            from emoji_pairs import EmojiPairs

            self.pairs = EmojiPairs(job, normalize)

    def inputs(self, mode):
        if mode == "data":
            return self.pairs.next()
        self.position += 1
        return self.fixed[(self.position - 1) % len(self.fixed)]

    def step(self, images, tokens):
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with self.autocast:
            features = self.forward(images, tokens)
        # In float32, as ours is: a fraction of a per cent of the step.
        loss = self.loss(*(part.float() for part in features))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.max_norm:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.max_norm)
        self.optimizer.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, math.log(100))
        return loss.item()

    def prepare(self):
        seconds = []
        for inputs in self.fixed:  # several lengths of text
            begun = time.perf_counter()
            self.step(*inputs)
            seconds.append(time.perf_counter() - begun)
        compiling = sum(seconds) - len(seconds) * min(seconds)
        versions = {"python": platform.python_version(), "torch": torch.__version__}
        if "open_clip" in sys.modules:
            versions["open_clip"] = sys.modules["open_clip"].__version__
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        return {"versions": versions, "parameters": parameters, "firstStep": seconds[0], "compiling": compiling}

    def run(self, mode, warmup, steps):
        seconds, loss = [], math.nan
        for i in range(warmup + steps):
            begun = time.perf_counter()
            loss = self.step(*self.inputs(mode))
            if i >= warmup:
                seconds.append(time.perf_counter() - begun)
        return {"seconds": seconds, "loss": loss}


def main():
    with open(sys.argv[1]) as file:
        peer = Peer(json.load(file), sys.argv[2])
    for line in sys.stdin:
        question = json.loads(line)
        answer = getattr(peer, question.pop("ask"))(**question)
        print(json.dumps(answer), flush=True)


main()
