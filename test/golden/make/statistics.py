"""Intervals and calibration by scipy and scikit-learn, into ../evaluation/statistics.json. Needs scipy 1.17.1, scikit-learn 1.9.1:

    python statistics.py
"""

import json
from pathlib import Path

import numpy as np
from scipy import optimize, stats
from scipy.special import log_softmax, softmax
from sklearn.metrics import brier_score_loss, log_loss

rng = np.random.default_rng(5)


def accuracy(correct, total, level):
    tail = (1 - level) / 2
    resampled = stats.binom(total, correct / total)
    exact = stats.binomtest(correct, total).proportion_ci(level, method="exact")
    return dict(correct=correct, total=total, level=level, low=resampled.ppf(tail) / total, high=resampled.ppf(1 - tail) / total,
                exact_low=exact.low, exact_high=exact.high)


def difference(first, second, total):
    """The distribution of the difference of resampled counts by summing over all pairs of counts."""
    p, q = first / total, second / total
    mass = np.zeros(2 * total + 1)
    wins = np.arange(total + 1)
    chance = stats.binom(total, p).pmf(wins)
    for i in wins:
        losses = np.arange(total - i + 1)
        mass[total + i - losses] += chance[i] * stats.binom(total - i, q / (1 - p)).pmf(losses)
    cumulative = np.cumsum(mass)
    low, high = (int(np.argmax(cumulative >= share)) - total for share in (0.025, 0.975))
    return dict(first=first, second=second, total=total, low=low / total, high=high / total,
                p=stats.binomtest(first, first + second).pvalue if first + second else 1.0)


def resampled(name, data, statistic):
    result = stats.bootstrap(data, statistic, paired=len(data) > 1, vectorized=False, n_resamples=20000, method="percentile", rng=7)
    return dict(name=name, data=[[round(float(x), 6) for x in column] for column in data], value=float(statistic(*data)),
                low=result.confidence_interval.low, high=result.confidence_interval.high, standard_error=result.standard_error)


def area(labels, scores):
    """Under the ROC curve, no two scores being equal but drawn twice: ties count half."""
    apart = np.sign(scores[labels == 1][:, None] - scores[labels == 0])
    return apart.mean() / 2 + 0.5


values = np.round(rng.lognormal(0, 1, 80), 6)
labels = rng.integers(0, 2, 120)
scores = np.round(labels + rng.normal(0, 1.2, 120), 6)

classes, rows = 7, 200
logits = np.round(rng.normal(0, 3, (rows, classes)), 4)
truth = np.array([rng.choice(classes, p=p) for p in softmax(logits / 2.2, axis=1)])
loss = lambda log_t: -np.mean(log_softmax(logits / np.exp(log_t), axis=1)[np.arange(rows), truth])
temperature = float(np.exp(optimize.minimize_scalar(loss, bounds=(-4, 4), method="bounded", options=dict(xatol=1e-12)).x))
probabilities = softmax(logits, axis=1)
confidence = probabilities.max(axis=1)
right = probabilities.argmax(axis=1) == truth
edges = np.linspace(0, 1, 16)
inside = [(confidence > low) & (confidence <= high) for low, high in zip(edges, edges[1:])]
by_rank = np.array_split(np.argsort(confidence, kind="stable"), 10)  # 200 rows: ten parts of twenty
gap = lambda part: abs(right[part].mean() - confidence[part].mean())

out = dict(
    accuracies=[accuracy(*c) for c in [(0, 5, 0.95), (5, 5, 0.95), (1, 3, 0.95), (17, 40, 0.95), (237, 1000, 0.95), (280, 1181, 0.9),
                                       (6321, 10000, 0.99), (38123, 50000, 0.95), (499990, 1000000, 0.95)]],
    differences=[difference(*c) for c in [(0, 0, 50), (3, 0, 10), (12, 5, 100), (90, 60, 400), (210, 180, 1181)]],
    resampled=[
        resampled("mean", (values,), np.mean),
        resampled("auc", (labels, scores), area),
    ],
    calibration=dict(
        logits=logits.tolist(), labels=truth.tolist(), temperature=temperature,
        brier=brier_score_loss(truth, probabilities, labels=range(classes), scale_by_half=False),
        loss=log_loss(truth, probabilities, labels=range(classes)), fitted_loss=float(loss(np.log(temperature))),
        expected_error=float(sum(gap(part) * part.mean() for part in inside if part.any())),
        greatest_error=float(max(gap(part) for part in inside if part.any())),
        adaptive_error=float(np.mean([gap(part) for part in by_rank])),
    ),
)
(Path(__file__).parent.parent / "evaluation" / "statistics.json").write_text(json.dumps(out, default=float) + "\n")
