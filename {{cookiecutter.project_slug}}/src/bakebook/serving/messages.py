"""What the service sends and accepts beside rows: answers, labels,
pages of predictions, the model.
"""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bakebook.serving.schemas import without_nul

MOST_LABELS = 10_000


class InputWarning(BaseModel):
    """What the model has not seen the like of in training."""

    input: str | None = Field(description="the input; null for the whole row")
    reason: str = Field(examples=["not seen in training", "outside the training range"])


class Predicted(BaseModel):
    """What the model predicts for one row."""

    id: str = Field(examples=["019a7f3e-6c1d-7b52-9f0e-3d1f5a9b8c77"])
    predicted: str | float
    probabilities: dict[str, float] | None = Field(
        description="of each class; null when a number is predicted"
    )
    model_version: str = Field(description="the first twelve letters of the model's sha256")


class Answer(Predicted):
    """What the model predicts for one row. It was committed under its id before it was sent."""

    warnings: list[InputWarning] = Field(description="why not to trust it, if there is a reason")


class Label(BaseModel):
    """The correct value for one prediction. A later label replaces an earlier one; repeating one
    changes nothing.
    """

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    id: Annotated[str, AfterValidator(without_nul)] = Field(
        max_length=36, description="of the prediction"
    )
    label: str | float | bool = Field(
        description="the class, or the number, that it should have been"
    )


class Recorded(BaseModel):
    """What happened to labels."""

    recorded: int = Field(description="labels that are new or replace an earlier one")
    unchanged: int = Field(description="labels that were known")


class StoredPrediction(Predicted):
    """A prediction as it is stored."""

    made_at: datetime
    caller: str
    request_id: str
    inputs: dict[str, object]
    uncertainty: float | None
    latency_ms: float
    is_sample: bool = Field(description="drawn at random: its label measures the model")
    unfamiliar: int = Field(description="inputs that are unlike those of the training")
    label: str | None
    labelled_by: str | None
    labelled_at: datetime | None


class Page(BaseModel):
    """Predictions, the newest first; `next` is the `before` of the following page, null on the
    last.
    """

    predictions: list[StoredPrediction]
    next: str | None


class ModelInfo(BaseModel):
    """The model that answers."""

    version: str
    sha256: str
    source: str
    adopted_at: datetime
    target: str
    task: str
    classes: list[str] | None
    inputs: list[dict[str, object]] = Field(description="what a caller sends")
    derived: list[dict[str, object]] = Field(description="what is computed from the inputs")
    metrics: dict[str, object]
    card: str = Field(description="the model card, as Markdown")
    earlier: list[str] = Field(description="versions that nb rollback can return to")
    refused: dict[str, str] = Field(description="what must not answer, and why")
