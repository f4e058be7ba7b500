"""Hugging Face's Rust tokenizer with the pipeline of transformers' CLIPTokenizer, in one thread. See bench/tokenizer.ts.

    tokenizer_peer.py JOB SIDE      SIDE: tokenizers (encode_batch) or tokenizers-fast (encode_batch_fast, no offsets)
"""
import json
import os
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
import tokenizers
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE

START, END = "<|startoftext|>", "<|endoftext|>"
PATTERN = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""


def build(merges, alphabet):
    merges = [tuple(merge) for merge in merges]
    tokens = [*alphabet, *(character + "</w>" for character in alphabet), *(a + b for a, b in merges), START, END]
    ids = {token: id for id, token in enumerate(tokens)}
    made = Tokenizer(BPE(ids, merges, continuing_subword_prefix="", end_of_word_suffix="</w>", unk_token=END))
    made.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    made.post_processor = processors.RobertaProcessing((END, ids[END]), (START, ids[START]), False, False)
    made.add_special_tokens([START, END])
    return made


def main(path, side):
    with open(path) as file:
        job = json.load(file)
    begun = time.process_time()
    tokenizer = build(job["merges"], job["alphabet"])
    loading = time.process_time() - begun
    encode = tokenizer.encode_batch if side == "tokenizers" else tokenizer.encode_batch_fast
    seconds, first = [], None
    for captions in job["sets"]:
        begun = time.process_time()
        encoded = encode(captions)
        seconds.append(time.process_time() - begun)
        first = first or encoded
    ids = [encoding.ids for encoding in first]
    versions = {"tokenizers": tokenizers.__version__, "python": sys.version.split()[0]}
    print(json.dumps({"loading": loading, "seconds": seconds, "ids": ids, "versions": versions}))


main(*sys.argv[1:])
