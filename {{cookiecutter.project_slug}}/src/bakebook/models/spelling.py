"""Numbers for categories that are spelt alike, so that a model can learn them together."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

DIGITS = 5  # of a number: the last bits of a decomposition differ between machines


class SpellingEncoder(TransformerMixin, BaseEstimator):
    """For each column of texts (n, columns), `size` numbers (n, columns * size) as float32.

    They are the decomposed TF-IDF weights of triples and fours of letters, as in skrub's
    StringEncoder. The levels of the training rows are looked up, so that ONNX has the very same
    numbers; any other level gets their mean.
    """

    def __init__(self, size: int = 16) -> None:
        self.size = size

    def fit(self, X: pd.DataFrame, y: object = None) -> "SpellingEncoder":
        """Learns the levels of each column; y is not used."""
        columns = [np.unique(np.asarray(X)[:, place].astype(str)) for place in range(X.shape[1])]
        self.levels_ = columns
        self.vectors_ = [self._vectors(levels) for levels in columns]
        return self

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        """The numbers of each row's levels."""
        parts = []
        for place, levels in enumerate(self.levels_):
            found = pd.Index(levels).get_indexer(np.asarray(X)[:, place].astype(str))
            parts.append(self.vectors_[place][found])  # -1, the last: of an unknown one
        return np.hstack(parts)

    def get_feature_names_out(self, names: Sequence[str] | None = None) -> np.ndarray:
        """The names of the numbers."""
        given = names if names is not None else range(len(self.levels_))
        widths = [vectors.shape[1] for vectors in self.vectors_]
        found = []
        for name, width in zip(given, widths, strict=True):
            found += [f"{name} (spelling {number})" for number in range(width)]
        return np.array(found, dtype=object)

    def _vectors(self, levels: np.ndarray) -> np.ndarray:
        """The numbers of each level, and below them those of an unknown one."""
        grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), lowercase=False)
        try:
            weights = grams.fit_transform(levels)
        except ValueError:  # no level has three letters
            return np.zeros((len(levels) + 1, 1), dtype=np.float32)
        size = min(self.size, min(weights.shape) - 1)
        if size < 1:
            return np.zeros((len(levels) + 1, 1), dtype=np.float32)
        vectors = TruncatedSVD(size, random_state=0).fit_transform(weights)
        every = np.vstack([vectors, vectors.mean(axis=0)])
        return np.round(every, DIGITS).astype(np.float32)
