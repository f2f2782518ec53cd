"""What skl2onnx needs to convert gradient boosting exactly: converters of other libraries,
thresholds of 32 bits.
"""

from copy import deepcopy
from itertools import chain
from typing import Any

import numpy as np
from skl2onnx import update_registered_converter
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from sklearn.pipeline import Pipeline

CLASSIFIER_OPTIONS: dict[str, list[object]] = {
    "nocl": [True, False],
    "zipmap": [True, False, "columns"],
}


def register(estimator: type) -> None:
    """Lets skl2onnx convert an estimator of LightGBM or XGBoost; any other needs nothing."""
    family = estimator.__module__.split(".")[0]
    if family not in FAMILIES:
        return
    options: dict[str, list[object]] = {}
    if hasattr(estimator, "predict_proba"):
        shapes = calculate_linear_classifier_output_shapes
        options |= CLASSIFIER_OPTIONS
    else:
        shapes = calculate_linear_regressor_output_shapes
        if family == "lightgbm":
            options["split"] = [None]
    update_registered_converter(
        estimator, estimator.__name__, shapes, FAMILIES[family], options=options
    )


def with_float32_thresholds(model: Pipeline) -> Pipeline:
    """A copy whose histogram gradient boosting has thresholds of 32 bits, which skl2onnx would
    round to the nearest.

    `_predictors` is private to scikit-learn; `nox -s estimators` fails when it changes.
    """
    if not hasattr(model.named_steps["estimator"], "_predictors"):
        return model
    model = deepcopy(model)
    for tree in chain.from_iterable(model.named_steps["estimator"]._predictors):
        tree.nodes["num_threshold"] = _round_down(tree.nodes["num_threshold"])
    return model


def _round_down(thresholds: np.ndarray) -> np.ndarray:
    """The greatest float32 that is not above each threshold.

    A float32 value is below or equal to a threshold exactly when it is below or equal to the
    rounded one.
    """
    nearest = thresholds.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest > thresholds, below, nearest)


def _convert_lightgbm(scope: object, operator: object, container: object) -> None:
    """onnxmltools' converter, which is given float32 thresholds: it takes the model's dump from
    this one function.
    """
    from onnxmltools.convert.lightgbm import operator_converters

    converter = operator_converters.LightGbm
    dump = converter.dump_booster_model

    def dump_rounded(*args: object, **kwargs: object) -> object:
        dumped, info = dump(*args, **kwargs)
        for tree in dumped["tree_info"]:
            _round_tree(tree["tree_structure"])
        return dumped, info

    converter.dump_booster_model = dump_rounded
    try:
        converter.convert_lightgbm(scope, operator, container)
    finally:
        converter.dump_booster_model = dump


def _convert_xgboost(scope: object, operator: object, container: object) -> None:
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

    convert_xgboost(scope, operator, container)


FAMILIES = {"lightgbm": _convert_lightgbm, "xgboost": _convert_xgboost}


def _round_tree(node: dict[str, Any]) -> None:
    if "threshold" in node:
        threshold = np.array(node["threshold"], dtype=np.float64)
        node["threshold"] = float(_round_down(threshold))
        _round_tree(node["left_child"])
        _round_tree(node["right_child"])
