"""How much of a search is done, as a bar in the notebook."""

import math
import os
import time

from IPython.display import ProgressBar


class Progress:
    """Shows how many of a search's trials, or how much of its time, are used, and says whether it
    may continue.
    """

    def __init__(self, trials: int, seconds: float) -> None:
        self.trials = trials
        self.seconds = seconds
        self.started = time.monotonic()
        self.is_shown = "NB_NO_BARS" not in os.environ  # nbval compares outputs
        self.bar = ProgressBar(trials or math.ceil(seconds))
        if self.is_shown:
            self.bar.display()

    def may_continue(self, done: int) -> bool:
        """Whether trials and time are left after `done` trials; the first trial always runs."""
        passed = time.monotonic() - self.started
        self._show(done if self.trials else int(passed))
        has_trials = not self.trials or done < self.trials
        has_time = not self.seconds or passed < self.seconds
        return not done or (has_trials and has_time)

    def finish(self) -> None:
        """Fills the bar."""
        self._show(self.bar.total)

    def _show(self, done: int) -> None:
        shown = min(done, self.bar.total)
        if self.is_shown and shown != self.bar.progress:
            self.bar.progress = shown
