"""Which rows of many stand for all of them."""

import numpy as np
from numpy.typing import NDArray


def evenly_spaced(total: int, most: int) -> NDArray[np.int64]:
    """Up to ``most`` of ``total`` row numbers, evenly spaced, ascending, each once."""
    rows = np.linspace(0, total - 1, min(total, most)).round().astype(np.int64)
    return np.asarray(np.unique(rows))
