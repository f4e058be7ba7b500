"""Ranks of all captions' pictures and all pictures' captions in PyTorch, from one matrix of all scores: what bench/retrieval.ts compares with.

Reads `count width threads` lines, answers each with a line of JSON: seconds, and the largest resident memory in MiB so far.
"""

import json
import resource
import sys
import time

import torch


def ranks(texts, images):
    scores = texts @ images.T
    own = scores.diagonal()
    return (scores > own[:, None]).sum(1), (scores > own[None, :]).sum(0)


for line in sys.stdin:
    count, width, threads = map(int, line.split())
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(count)
    texts, images = (torch.nn.functional.normalize(torch.randn(count, width, generator=generator)) for _ in range(2))
    started = time.perf_counter()
    ranks(texts, images)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak": peak}), flush=True)
