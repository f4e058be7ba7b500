"""Golden numbers of linear probes and Tip-Adapter: what the tests use of the evaluation fixtures, and scikit-learn on two classes.
Usage: python probe.py FIXTURES/evaluation ../evaluation"""
import gzip
import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save
from sklearn.linear_model import LogisticRegression

source, target = map(Path, sys.argv[1:])
probe = load_file(source / "linear_probe.safetensors")
kept = {k: v for k, v in probe.items() if k.endswith((".x", ".y"))}
kept |= {k: probe[k] for k in ("fixed.coef", "fixed.intercept")}

# Two classes: scikit-learn has one vector of weights then.
two = probe["train.y"] < 2
model = LogisticRegression(C=0.5, tol=1e-10, max_iter=100000).fit(
    probe["train.x"][two].astype(np.float64), probe["train.y"][two]
)
kept |= {"two.coef": model.coef_[0], "two.intercept": model.intercept_}
kept = {k: np.ascontiguousarray(v.astype(np.int32) if k.endswith(".y") else v) for k, v in kept.items()}

tip = load_file(source / "tip_adapter.safetensors")
names = ("labels", "classifier", "features", "keys", "values", "zero_shot_logits")
shown = ("logits_alpha1_beta5.5", "logits_alpha2.5_beta1")
tip = {k: tip[k].astype(np.int32 if k == "labels" else np.float32) for k in names + shown}

for name, tensors in (("linear_probe", kept), ("tip_adapter", tip)):
    (target / f"{name}.safetensors.gz").write_bytes(gzip.compress(save(tensors), 9, mtime=0))
full = json.loads((source / "linear_probe.json").read_text())
del full["sweep"], full["lambda_grid"]
(target / "linear_probe.json").write_text(json.dumps(full) + "\n")
