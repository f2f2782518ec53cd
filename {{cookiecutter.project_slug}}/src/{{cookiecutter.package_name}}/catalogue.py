"""Which estimators there are, and whether ONNX was shown to say the same: `nb estimators`."""

from collections.abc import Iterator
from importlib.util import find_spec

from sklearn.utils import all_estimators

from .estimators import GROUPS, dotted

# Why an estimator failed on some table. Every other one listed was exported from tables with gaps, unseen categories,
# texts and dates, and ONNX said the same; `export` proves it again for each model.
NOT_EXPORTED = {
    "CategoricalNB": "it takes no number below zero",
    "ComplementNB": "it takes no number below zero",
    "DummyClassifier": "skl2onnx has no converter",
    "DummyRegressor": "skl2onnx has no converter",
    "GaussianProcessClassifier": "onnxruntime lacks an operator that it needs",
    "GaussianProcessRegressor": "32 bits are too few for its kernels",
    "KernelRidge": "skl2onnx has no converter",
    "LabelPropagation": "skl2onnx has no converter",
    "LabelSpreading": "skl2onnx has no converter",
    "LinearDiscriminantAnalysis": "skl2onnx gives other probabilities",
    "MultinomialNB": "it takes no number below zero",
    "NearestCentroid": "skl2onnx has no converter",
    "NuSVC": "its nu is infeasible where classes are unbalanced",
    "QuadraticDiscriminantAnalysis": "its covariances are singular on encoded categories",
    "QuantileRegressor": "32 bits are too few for its coefficients",
    "RadiusNeighborsClassifier": "onnxruntime fails on rows without a neighbour",
    "RadiusNeighborsRegressor": "onnxruntime fails on rows without a neighbour",
    "TransformedTargetRegressor": "skl2onnx has no converter",
}
# These predict several targets, take one column, or need another estimator as an argument.
OTHERS = (
    "CCA IsotonicRegression MultiTask PLS Chain MultiOutput OneVs OutputCode SelfTraining Stacking Threshold Voting"
)
GROUPED = {
    "classification": ("lightgbm.LGBMClassifier", "xgboost.XGBClassifier", "networks.NetworkClassifier"),
    "regression": ("lightgbm.LGBMRegressor", "xgboost.XGBRegressor", "networks.NetworkRegressor"),
}


def listed(task: str) -> Iterator[tuple[str, str]]:
    """The dotted path of each estimator for the task, and what is to be known of it."""
    for name, kind in all_estimators({"classification": "classifier", "regression": "regressor"}[task]):
        if not any(word in name for word in OTHERS.split()):
            yield dotted(kind), _exported(name)
    for path, group in zip(GROUPED[task], GROUPS, strict=True):
        here = "" if find_spec(group) else f"; not installed: uv sync --group {group}"
        yield path, _exported(path) + here


def _exported(name: str) -> str:
    return f"not on every table: {NOT_EXPORTED[name]}" if name in NOT_EXPORTED else "shown to say the same in ONNX"
