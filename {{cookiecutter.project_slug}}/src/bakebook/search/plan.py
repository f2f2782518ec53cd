"""How to look for a better model, as the section `train` of params.yaml describes it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sklearn.metrics import get_scorer_names

from bakebook.errors import BadInput, did_you_mean


@dataclass(frozen=True)
class Plan:
    """The parameters of `train` that concern cross-validation and search."""

    search: str  # none, grid, random, optuna or automl
    space: Mapping[str, object]  # the values to try of each hyperparameter, or {low, high, log}
    trials: int  # at most; 0: as many as the time allows
    time_budget: float  # seconds after which no further trial starts; 0: no limit
    cv: int
    scoring: str
    random_state: int

    def __post_init__(self) -> None:
        """Raises BadInput for an unknown score and for a search without an end."""
        known = get_scorer_names()
        if self.scoring not in known:
            remedy = did_you_mean(self.scoring, known) or "choose f1_macro, r2, …"
            raise BadInput(f"train.scoring '{self.scoring}' is unknown to scikit-learn", remedy)
        is_endless = (
            self.search not in ("none", "grid") and not self.trials and not self.time_budget
        )
        if is_endless:
            raise BadInput(
                f"train.search: {self.search} would not end",
                "set train.trials or train.time_budget",
            )

    def in_other_folds(self, number: int = 1) -> "Plan":
        """The same plan with folds that a search did not see."""
        return replace(self, random_state=(self.random_state + number) % 2**32)
