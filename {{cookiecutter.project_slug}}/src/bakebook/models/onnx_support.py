"""Which estimators can be trained, and which of them predict the same as ONNX: `nb estimators`."""

from collections.abc import Iterator
from importlib.util import find_spec

from sklearn.utils import all_estimators

from bakebook.models.estimators import dotted
from bakebook.params import GROUPS, Task

EXPORTED = "exports to ONNX"
# Why an estimator failed on some table. Every other one listed was exported from tables with gaps,
# unseen categories,
# texts and dates, and ONNX predicted the same; `export` proves it again for each model.
NOT_EXPORTED = {
    "CategoricalNB": "it accepts no negative numbers",
    "ComplementNB": "it accepts no negative numbers",
    "DummyClassifier": "skl2onnx has no converter",
    "DummyRegressor": "skl2onnx has no converter",
    "GaussianProcessClassifier": "onnxruntime lacks an operator that it needs",
    "GaussianProcessRegressor": "float32 is too imprecise for its kernels",
    "KernelRidge": "skl2onnx has no converter",
    "LabelPropagation": "skl2onnx has no converter",
    "LabelSpreading": "skl2onnx has no converter",
    "LinearDiscriminantAnalysis": "skl2onnx gives other probabilities",
    "MultinomialNB": "it accepts no negative numbers",
    "NearestCentroid": "skl2onnx has no converter",
    "NuSVC": "its nu is infeasible where classes are unbalanced",
    "QuadraticDiscriminantAnalysis": "its covariances are singular on encoded categories",
    "QuantileRegressor": "float32 is too imprecise for its coefficients",
    "RadiusNeighborsClassifier": "onnxruntime fails on rows without a neighbour",
    "RadiusNeighborsRegressor": "onnxruntime fails on rows without a neighbour",
    "TransformedTargetRegressor": "skl2onnx has no converter",
}
# Parts of names of estimators that predict several targets, take one column, or need another
# estimator
UNSUITABLE = [
    "CCA",
    "IsotonicRegression",
    "MultiTask",
    "PLS",
    "Chain",
    "MultiOutput",
    "OneVs",
    "OutputCode",
    "SelfTraining",
    "Stacking",
    "Threshold",
    "Voting",
]
FAMILIES: dict[Task, tuple[str, ...]] = {
    "classification": ("lightgbm.LGBMClassifier", "xgboost.XGBClassifier"),
    "regression": ("lightgbm.LGBMRegressor", "xgboost.XGBRegressor"),
}
NETWORKS: dict[Task, str] = {
    "classification": "networks.NetworkClassifier",
    "regression": "networks.NetworkRegressor",
}


def listed(task: Task, package: str) -> Iterator[tuple[str, str]]:
    """The dotted path of each estimator for the task, and what is known of it; `package` has the
    networks.
    """
    filter_ = "classifier" if task == "classification" else "regressor"
    for name, class_ in all_estimators(filter_):
        if not any(part in name for part in UNSUITABLE):
            yield dotted(class_), _support(name)
    for path, group in zip((*FAMILIES[task], f"{package}.{NETWORKS[task]}"), GROUPS, strict=True):
        is_installed = find_spec(group) is not None
        yield (
            path,
            EXPORTED if is_installed else f"{EXPORTED}; not installed: uv sync --group {group}",
        )


def _support(name: str) -> str:
    return f"not on every table: {NOT_EXPORTED[name]}" if name in NOT_EXPORTED else EXPORTED
