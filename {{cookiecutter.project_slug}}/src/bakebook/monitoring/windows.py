"""Windows of predictions: days, weeks (from Monday) or months in UTC, or so many predictions."""

import numpy as np

from bakebook.params import Window

EPOCH_IS_THURSDAY = 3  # days after Monday
UNITS = {"day": "D", "week": "D", "month": "M"}


def numbers(made_at: np.ndarray, window: Window, first: int) -> np.ndarray:
    """The number (n,) of each prediction's window, the same whenever one looks. `made_at` (n,) are
    times; `first` is how many predictions were made before these.
    """
    if isinstance(window, int):
        return (first + np.arange(len(made_at))) // window
    units = made_at.astype(f"datetime64[{UNITS[window]}]").astype(np.int64)
    return (units + EPOCH_IS_THURSDAY) // 7 if window == "week" else units


def start_of(number: int, window: str) -> np.datetime64:
    """The moment at which a window of time begins."""
    if window == "week":
        return np.datetime64(number * 7 - EPOCH_IS_THURSDAY, "D")
    return np.datetime64(number, "M" if window == "month" else "D")
