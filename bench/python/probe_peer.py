"""scikit-learn's loss and gradient of softmax regression, on the numbers of bench/probe.ts. Usage: probe_peer.py ROWS CLASSES WIDTH ROUNDS"""
import sys
import time

import numpy as np
import sklearn
from sklearn._loss import HalfMultinomialLoss
from sklearn.linear_model._linear_loss import LinearModelLoss

rows, classes, width, rounds = map(int, sys.argv[1:])
x = (np.sin(np.arange(rows * width) * 12.9898) * 1.7).astype(np.float32).reshape(rows, width)
y = ((np.arange(rows) * 7919) % classes).astype(np.float32)
w = 0.01 * np.sin(np.arange(classes * (width + 1)) * 78.233)
# Our order is all weights, then all biases; scikit-learn's is a bias behind each class's weights, classes first to change.
coef = np.concatenate([w[: classes * width].reshape(classes, width), w[classes * width :, None]], axis=1)
coef = np.asfortranarray(coef.astype(np.float32))
loss = LinearModelLoss(base_loss=HalfMultinomialLoss(n_classes=classes), fit_intercept=True)
seconds = []
for _ in range(rounds + 1):
    begun = time.perf_counter()
    value, _gradient = loss.loss_gradient(coef, x, y, l2_reg_strength=0.0, n_threads=1)
    seconds.append(time.perf_counter() - begun)
seconds = sorted(seconds[1:])
each = seconds[len(seconds) // 2]
print(
    f"scikit-learn {sklearn.__version__}: {rows} rows in {each:.3f} s ({seconds[0]:.3f} to {seconds[-1]:.3f}), "
    f"{4 * rows * classes * width / each / 1e9:.1f} GFLOPS, loss a row {value:.6f}; "
    f"a million rows of 1,000 classes: {each * (1e6 / rows) * (1000 / classes):.0f} s"
)
