"""Which voice a text sounds like: logistic regression on sentence embeddings, and how often it is mistaken.

Its mistakes bias what is counted: a rare voice is predicted too often, because a few of the many texts of others sound
like it. They are known from cross-validation, so that counts can be corrected: with C[t, p] the probability that voice
t is predicted as p, predicted shares = C^T true shares, and so true shares = (C^T)^-1 predicted shares (Forman 2008,
"adjusted count", for two classes; Saerens et al. 2002 compare it with EM). Exact in expectation as long as completions
of a voice are mistaken as often as its examples are: examples should look like completions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats as scipy_stats

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FOLDS = 10
"""Parts of the cross-validation, or as many as the rarest voice has examples."""
STRENGTH = 10.0
"""Inverse regularisation (scikit-learn's C), fixed: a few examples a voice are too few to choose it by, and embeddings
of length 1 need little of it."""
ALPHA = 0.01
"""Above chance means: one-sided p below this."""
SEED = 0


@dataclass(frozen=True)
class VoiceClassifier:
    """A classifier trained on all examples, and its mistakes on those that it had not seen."""

    names: tuple[str, ...]
    confusion: Ints
    """(V, V), examples of true voice t (row) that a classifier trained on other folds predicted as p (column)."""
    weights: Floats
    """(d, V)."""
    offsets: Floats
    """(V,)."""

    def predict(self, rows: NDArray[np.float32]) -> Ints:
        """(m,) index of the voice that each of (m, d) embeddings sounds like."""
        predicted: Ints = (rows.astype(np.float64) @ self.weights + self.offsets).argmax(axis=1)
        return predicted

    @property
    def accuracy(self) -> float:
        """Share of the examples whose voice was predicted rightly, cross-validated; in [0, 1]."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def above_chance(self) -> bool:
        """Whether it is right more often than always naming the voice with the most examples (exact binomial test)."""
        largest = self.confusion.sum(axis=1).max() / self.confusion.sum()
        right, examples = int(np.trace(self.confusion)), int(self.confusion.sum())
        return bool(scipy_stats.binomtest(right, examples, largest, alternative="greater").pvalue < ALPHA)


def train(rows: NDArray[np.float32], labels: Sequence[str]) -> VoiceClassifier:
    """A classifier of examples: (m, d) embeddings of length 1 and their voices, at least two of each.

    Every voice counts alike, however many examples it has. Cross-validation is stratified and seeded.
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    names = tuple(dict.fromkeys(labels))
    truth = np.array([names.index(label) for label in labels])
    folds = StratifiedKFold(min(FOLDS, int(np.bincount(truth).min())), shuffle=True, random_state=SEED)
    # Threads that share out so little work only wait for each other.
    with threadpool_limits(limits=1, user_api="blas"):
        predicted = cross_val_predict(_regression(), rows, truth, cv=folds)
        fitted = _regression().fit(rows, truth)
    confusion = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    weights, offsets = fitted.coef_.T, fitted.intercept_
    if len(names) == 2:
        # scikit-learn keeps one column for two classes: the log-odds of the second.
        weights, offsets = np.hstack([np.zeros_like(weights), weights]), np.array([0.0, offsets[0]])
    return VoiceClassifier(names, confusion, weights.astype(np.float64), offsets.astype(np.float64))


def invert(mistakes: Floats) -> Floats:
    """(C^T)^-1 of (..., V, V) matrices whose rows add up to 1; NaN for those that have none.

    Columns add up to 1, so corrected shares do; single ones may leave [0, 1].
    """
    turned = np.swapaxes(mistakes, -1, -2)
    singular = np.abs(np.linalg.det(turned)) < 1e-9
    safe = np.where(singular[..., None, None], np.eye(turned.shape[-1]), turned)
    inverse: Floats = np.where(singular[..., None, None], np.nan, np.linalg.inv(safe))
    return inverse


def _regression() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=1000)
