"""The peers of bench/training.ts: peer.py JOB eager|compiled|autocast|jax|jax-bf16. One JSON line is answered with one (bench/protocol.ts)."""

import json
import math
import platform
import sys
import time

import numpy as np


def read_fixed(job, cut):
    """f32 pixels [batch, size, size, 3] from 0 to 255, i32 tokens [batch, the longest text's length, or the context's]."""
    batch, size, context = job["batch"], job["config"]["imageSize"], job["config"]["text"]["contextLength"]
    data, image_bytes, start = np.fromfile(job["fixed"]["file"], np.uint8), batch * size * size * 3, 0
    for length in job["fixed"]["longest"]:
        middle, end = start + image_bytes, start + image_bytes + batch * context * 4
        pixels = data[start:middle].reshape(batch, size, size, 3).astype(np.float32)
        tokens = data[middle:end].view(np.int32).reshape(batch, context)
        yield pixels, np.ascontiguousarray(tokens[:, :length] if cut else tokens)
        start = end


def side_of(job, name):
    if name.startswith("jax"):
        from jax_side import JaxSide

        return JaxSide(job, name)
    from torch_side import TorchSide

    return TorchSide(job, name)


class Peer:
    def __init__(self, job, name):
        self.side = side_of(job, name)
        self.fixed = [self.side.inputs(*pairs) for pairs in read_fixed(job, self.side.cuts_texts)]
        self.position, self.pairs = 0, None
        if "pairs" in job:
            from emoji_pairs import EmojiPairs

            self.pairs = EmojiPairs(job)

    def inputs(self, mode):
        if mode == "data":
            return self.side.inputs(*self.pairs.next())
        self.position += 1
        return self.fixed[(self.position - 1) % len(self.fixed)]

    def timed(self, mode):
        """(seconds, loss) of a step."""
        begun = time.perf_counter()
        loss = self.side.step(*self.inputs(mode))
        return time.perf_counter() - begun, loss

    def prepare(self):
        """Steps through the fixed batches, which have several lengths of text, and some of the data's."""
        seconds = [self.timed("fixed")[0] for _ in self.fixed]
        compiling = sum(seconds) - len(seconds) * min(seconds)
        for _ in self.fixed if self.pairs else ():
            self.timed("data")
        if self.side.compile_seconds is not None:
            compiling = self.side.compile_seconds
        versions = {"python": platform.python_version()} | self.side.versions()
        return {"versions": versions, "parameters": self.side.parameters, "firstStep": seconds[0], "compiling": compiling}

    def run(self, mode, warmup, steps):
        """A step that compiles first does not count, and one more is run."""
        all_seconds, loss, done = [], math.nan, 0
        while len(all_seconds) < steps:
            compiled = self.side.compile_seconds
            seconds, loss = self.timed(mode)
            done += 1
            if done > warmup and self.side.compile_seconds == compiled:
                all_seconds.append(seconds)
        answer = {"seconds": all_seconds, "loss": loss}
        return answer if self.side.compile_seconds is None else answer | {"compiling": self.side.compile_seconds}


def main():
    with open(sys.argv[1]) as file:
        peer = Peer(json.load(file), sys.argv[2])
    for line in sys.stdin:
        question = json.loads(line)
        answer = getattr(peer, question.pop("ask"))(**question)
        print(json.dumps(answer), flush=True)


main()
