"""PyTorch's sides of bench/training.ts."""

import math
import sys

import torch
import torch.nn.functional as F
from clip_model import CLIP

MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
DEVIATION = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)


def own_model(job, compiled):
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


def open_clip_model(job, compiled):
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


class TorchSide:
    """`name` is eager, compiled or autocast."""

    compile_seconds = None  # torch.compile does not tell

    def __init__(self, job, name):
        torch.set_num_threads(job["threads"])
        torch.manual_seed(0)
        models = {"own": own_model, "open_clip": open_clip_model}
        self.model, self.forward, self.loss = models[job["peer"]](job, name == "compiled")
        self.model.train()
        self.autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=name == "autocast")
        self.optimizer, self.max_norm = optimizer(self.model, job), job["adam"].get("maxNorm")
        self.layout = torch.channels_last if job["config"]["vision"]["kind"] == "resnet" else torch.contiguous_format
        # open_clip computes its full context.
        self.cuts_texts = job["peer"] == "own"
        self.parameters = sum(parameter.numel() for parameter in self.model.parameters())

    def inputs(self, pixels, tokens):
        images = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - MEAN) / DEVIATION
        return images.contiguous(memory_format=self.layout), torch.from_numpy(tokens).long()

    def step(self, images, tokens):
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

    def versions(self):
        clip = {"open_clip": sys.modules["open_clip"].__version__} if "open_clip" in sys.modules else {}
        return {"torch": torch.__version__} | clip
