"""Pictures and captions of the emoji recipes, made in the step, with our vocabulary."""

import random

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"


def byte_alphabet():
    """CLIP's characters for the 256 bytes, in the order of their ids."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(256 - len(printable))]


def make_tokenizer(merges, context):
    merges = [tuple(merge.split(" ")) for merge in merges]
    alphabet = byte_alphabet()
    tokens = alphabet + [c + "</w>" for c in alphabet] + [a + b for a, b in merges] + ["<|startoftext|>", "<|endoftext|>"]
    ids = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(ids, merges, end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(SPLIT), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    marks = [(token, ids[token]) for token in tokens[-2:]]
    tokenizer.post_processor = processors.TemplateProcessing("<|startoftext|> $A <|endoftext|>", special_tokens=marks)
    tokenizer.enable_truncation(context)
    tokenizer.enable_padding(pad_id=0)  # to the longest of the batch
    return tokenizer


class EmojiPairs:
    def __init__(self, job):
        pairs, loader = job["pairs"], job["loader"]
        self.batch, self.size, self.crop = job["batch"], loader["imageSize"], loader["cropScale"]
        self.concepts, self.drawings, self.templates = pairs["concepts"], pairs["drawings"], pairs["templates"]
        side = pairs["size"]
        self.pictures = torch.from_numpy(np.fromfile(pairs["file"], np.uint8).reshape(-1, side, side, 3))
        self.tokenizer = make_tokenizer(loader["tokenizer"]["merges"], loader["contextLength"])
        self.random, self.left = random.Random(0), []
        for text, ids in ((s["text"], s["ids"]) for s in pairs["sample"]):
            ours, theirs = ids[: loader["contextLength"] - 2], self.tokenizer.encode(text).ids[1:-1]
            if ours != theirs:
                raise ValueError(f"tokenizers differ: {text!r}: {ours} and {theirs}")

    def next(self):
        """f32 pixels [batch, size, size, 3] from 0 to 255, i32 tokens [batch, longest]."""
        if len(self.left) < self.batch:
            self.left = self.random.sample(self.drawings, len(self.drawings))
        chosen, self.left = self.left[: self.batch], self.left[self.batch :]
        images = self.cropped(self.pictures[[drawing for drawing, _ in chosen]])
        captions = [self.caption(self.concepts[concept]) for _, concept in chosen]
        tokens = [encoding.ids for encoding in self.tokenizer.encode_batch_fast(captions)]
        return images.permute(0, 2, 3, 1).numpy(), np.array(tokens, np.int32)

    def cropped(self, pictures):
        """Random squares, bilinear."""
        batch = len(pictures)
        side = self.crop[0] + (self.crop[1] - self.crop[0]) * torch.rand(batch)
        place = torch.zeros(batch, 2, 3)
        place[:, 0, 0] = place[:, 1, 1] = side
        place[:, :, 2] = (torch.rand(batch, 2) * 2 - 1) * (1 - side)[:, None]
        grid = F.affine_grid(place, (batch, 3, self.size, self.size), align_corners=False)
        x = pictures.permute(0, 3, 1, 2).float()
        return F.grid_sample(x, grid, padding_mode="border", align_corners=False)

    def caption(self, concept):
        name, keywords, kind = concept["name"], concept["keywords"], self.random.random()
        if kind < 0.5 or not keywords:
            return f"an emoji of {name}"
        if kind < 0.8:
            return self.random.choice(self.templates).format(name)
        some = ", ".join(self.random.sample(keywords, min(len(keywords), self.random.randint(1, 3))))
        return f"{name}, {some}" if kind < 0.9 else some
