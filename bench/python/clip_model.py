"""The small CLIP of the emoji recipes in PyTorch, layer for layer the one in src/model."""

import math

import torch
import torch.nn.functional as F
from torch import nn


class QuickGELU(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    def __init__(self, width, heads, causal):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), QuickGELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        batch, length, width = x.shape
        split = self.qkv(self.ln_1(x)).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x = x + self.out(attended.transpose(1, 2).reshape(batch, length, width))
        return x + self.mlp(self.ln_2(x))


class VisionTransformer(nn.Module):
    def __init__(self, size, out, *, width, layers, heads, patchSize, kind):
        super().__init__()
        scale = width**-0.5
        self.conv = nn.Conv2d(3, width, patchSize, patchSize, bias=False)
        self.cls = nn.Parameter(scale * torch.randn(width))
        self.positions = nn.Parameter(scale * torch.randn((size // patchSize) ** 2 + 1, width))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.blocks = nn.Sequential(*(Block(width, heads, causal=False) for _ in range(layers)))
        self.proj = nn.Parameter(scale * torch.randn(width, out))

    def forward(self, images):
        patches = self.conv(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(images), 1, -1), patches], 1) + self.positions
        return self.ln_post(self.blocks(self.ln_pre(x))[:, 0]) @ self.proj


def conv_norm(into, out, kernel, stride=1):
    return nn.Sequential(nn.Conv2d(into, out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(out))


def conv_norm_relu(into, out, kernel, stride=1):
    return nn.Sequential(*conv_norm(into, out, kernel, stride), nn.ReLU(inplace=True))


class Bottleneck(nn.Module):
    def __init__(self, into, planes, stride):
        super().__init__()
        pool = [nn.AvgPool2d(stride)] if stride > 1 else []
        self.body = nn.Sequential(
            conv_norm_relu(into, planes, 1), conv_norm_relu(planes, planes, 3), *pool, conv_norm(planes, 4 * planes, 1)
        )
        nn.init.zeros_(self.body[-1][-1].weight)
        changes = stride > 1 or into != 4 * planes
        self.shortcut = nn.Sequential(*pool, conv_norm(into, 4 * planes, 1)) if changes else nn.Identity()

    def forward(self, x):
        return F.relu(self.body(x) + self.shortcut(x), inplace=True)


class AttentionPool(nn.Module):
    def __init__(self, positions, width, heads, out):
        super().__init__()
        self.heads = heads
        self.positions = nn.Parameter(torch.randn(positions + 1, width) / width**0.5)
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))
        self.c = nn.Linear(width, out)

    def forward(self, x):
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([x.mean(1, keepdim=True), x], 1) + self.positions
        split = lambda y: y.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        pooled = F.scaled_dot_product_attention(split(self.q(x[:, :1])), split(self.k(x)), split(self.v(x)))
        return self.c(pooled.transpose(1, 2).flatten(1))


class ModifiedResNet(nn.Sequential):
    def __init__(self, size, out, *, width, layers, heads, kind):
        stem = [conv_norm_relu(3, width // 2, 3, 2), conv_norm_relu(width // 2, width // 2, 3)]
        stem += [conv_norm_relu(width // 2, width, 3), nn.AvgPool2d(2)]
        blocks, into = [], width
        for stage, count in enumerate(layers):
            for i in range(count):
                planes = width * 2**stage
                blocks.append(Bottleneck(into, planes, 2 if stage > 0 and i == 0 else 1))
                into = 4 * planes
        super().__init__(*stem, *blocks, AttentionPool((size // 32) ** 2, into, heads, out))


class TextTransformer(nn.Module):
    def __init__(self, out, *, contextLength, vocabSize, width, layers, heads):
        super().__init__()
        self.tokens = nn.Embedding(vocabSize, width)
        nn.init.normal_(self.tokens.weight, std=0.02)
        self.positions = nn.Parameter(0.01 * torch.randn(contextLength, width))
        self.blocks = nn.Sequential(*(Block(width, heads, causal=True) for _ in range(layers)))
        self.ln_final = nn.LayerNorm(width)
        self.proj = nn.Parameter(width**-0.5 * torch.randn(width, out))

    def forward(self, tokens):
        x = self.blocks(self.tokens(tokens) + self.positions[: tokens.shape[1]])
        ends = x[torch.arange(len(tokens)), tokens.argmax(-1)]
        return self.ln_final(ends) @ self.proj


class CLIP(nn.Module):
    """`config` is the ClipConfig of src/model/config.ts."""

    def __init__(self, config):
        super().__init__()
        tower = VisionTransformer if config["vision"]["kind"] == "vit" else ModifiedResNet
        self.visual = tower(config["imageSize"], config["embedDim"], **config["vision"])
        self.text = TextTransformer(config["embedDim"], **config["text"])
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, images, tokens):
        return F.normalize(self.visual(images), dim=-1), F.normalize(self.text(tokens), dim=-1), self.logit_scale.exp()
