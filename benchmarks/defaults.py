"""The default estimator against its peers on the same rows: skrub's `tabular_pipeline`, scikit-learn's boosting as it
comes and, with `--autogluon`, AutoGluon's medium preset in an environment of its own. Every generated table of this
file and every table of the tests' corpus is taken in as `nb data use` does, with nothing set by hand.

    uv run nox -s defaults
"""

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import make_classification, make_friedman1
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import f1_score, log_loss, mean_absolute_error, r2_score
from skrub import tabular_pipeline
from wine_cultivars import features, splitting
from wine_cultivars.evaluation.scores import task_of

from bakebook.contract.project import load
from bakebook.contracts import Schema
from bakebook.datasets.understanding import Request, Understood, understand
from bakebook.models import estimators, fitting
from bakebook.models.rows import rows_of
from bakebook.models.schema import describe_inputs, learn_inputs, to_X, to_y
from bakebook.models.task import first_model

HERE = Path(__file__).parent
CORPUS = HERE.parent / "tests" / "template"
TEST_SIZE = 0.25
SEED = 42
TINY = 1e-7  # the least probability of a log loss
CONFIDENCE = 1.96  # standard errors on each side
AUTOGLUON = "autogluon.tabular[lightgbm,catboost,xgboost]"
AUTOGLUON_SECONDS = 120
Frame = tuple[pd.DataFrame, str]  # and its target


def imbalanced() -> Frame:
    return _classification(6000, 12, n_informative=6, weights=[0.95], flip_y=0.01, class_sep=0.9, random_state=1)


def noise() -> Frame:
    random = np.random.default_rng(3)
    table = pd.DataFrame(random.normal(size=(3000, 8)), columns=[f"x{number}" for number in range(8)])
    return table.assign(y=random.choice(["no", "yes"], 3000)), "y"


def friedman() -> Frame:
    inputs, y = make_friedman1(3000, 10, noise=1, random_state=2)
    return pd.DataFrame(inputs, columns=[f"x{number}" for number in range(10)]).assign(y=y), "y"


def small_friedman() -> Frame:
    table, target = friedman()
    return table.head(600), target


def many_levels() -> Frame:
    table, signal = _cities(np.random.default_rng(4))
    return table.assign(y=pd.qcut(signal, 3, labels=["low", "middle", "high"]).astype(str)), "y"


def many_levels_two_classes() -> Frame:
    table, signal = _cities(np.random.default_rng(5))
    return table.assign(y=np.where(signal > np.median(signal), "yes", "no")), "y"


def many_levels_eight_classes() -> Frame:
    table, signal = _cities(np.random.default_rng(6))
    return table.assign(y=pd.qcut(signal, 8, labels=list("abcdefgh")).astype(str)), "y"


def skewed() -> Frame:
    random = np.random.default_rng(7)
    effect = random.normal(size=300)
    city, x = random.integers(0, 300, 4000), random.normal(size=4000)
    amount = np.exp(0.7 * effect[city] + x + random.normal(0, 0.4, 4000))
    return pd.DataFrame({"city": [f"city {one}" for one in city], "x": x, "y": amount}), "y"


def gaps() -> Frame:
    """Values are missing more often in one class: that they are is half of what is to be learned."""
    random = np.random.default_rng(8)
    y = random.random(3000) < 0.4
    x = random.normal(size=(3000, 4)) + 0.5 * y[:, None]
    x[random.random((3000, 4)) < np.where(y, 0.35, 0.15)[:, None]] = np.nan
    return pd.DataFrame(x, columns=list("abcd")).assign(y=np.where(y, "yes", "no")), "y"


def reviews() -> Frame:
    """Pairs of words decide: `not good` is bad."""
    random = np.random.default_rng(9)
    good, bad = ["good", "fine", "great", "tasty"], ["bad", "dull", "cold", "stale"]
    filler = [f"{first}{second}" for first in ("ba", "do", "ki", "lu", "me") for second in ("ra", "ten", "vo", "sim")]
    texts, labels = [], []
    for _ in range(1600):
        is_good, is_negated = random.random(2) < 0.5
        words = list(random.choice(filler, random.integers(6, 14)))
        said = str(random.choice(good if is_good else bad))
        place = int(random.integers(0, len(words)))
        words[place:place] = ["not", said] if is_negated else ["very", said]
        other = int(random.integers(0, len(words) + 1))
        words[other:other] = ["not"] if random.random() < 0.3 else ["very"]
        texts.append(" ".join(words))
        labels.append("praise" if is_good != is_negated else "complaint")
    return pd.DataFrame({"text": texts, "length": [len(one) for one in texts], "y": labels}), "y"


def titles() -> Frame:
    """Job titles as people write them, with slips: their parts tell the wage."""
    random = np.random.default_rng(10)
    ranks = {"junior": -8, "": 0, "senior": 10, "chief": 25, "assistant": -12}
    trades = {"engineer": 45, "nurse": 32, "accountant": 38, "electrician": 34, "gardener": 24, "librarian": 30}
    fields = {"": 0, "software": 12, "hospital": 3, "harbour": 5, "municipal": -3, "network": 6}
    rows = []
    for _ in range(2400):
        rank, trade, field = (str(random.choice(list(one))) for one in (ranks, trades, fields))
        wage = ranks[rank] + trades[trade] + fields[field] + random.normal(0, 3)
        rows.append((_misspelt(" ".join(filter(None, (rank, field, trade))), random), wage))
    return pd.DataFrame(rows, columns=["title", "wage"]), "wage"


def times() -> Frame:
    random = np.random.default_rng(11)
    moment = pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 366 * 24, 4000), unit="h")
    hour, weekday = moment.hour.to_numpy(), moment.weekday.to_numpy()
    rides = 100 + 60 * np.sin((hour - 6) / 24 * 2 * np.pi) - 30 * (weekday > 4) + random.normal(0, 10, 4000)
    shop = random.choice(["north", "south", "west"], 4000)
    return pd.DataFrame({"moment": moment, "shop": shop, "y": rides + 20 * (shop == "west")}), "y"


GENERATED: tuple[Callable[[], Frame], ...] = (
    imbalanced,
    noise,
    friedman,
    small_friedman,
    many_levels,
    many_levels_two_classes,
    many_levels_eight_classes,
    skewed,
    gaps,
    reviews,
    titles,
    times,
)


def _classification(rows: int, columns: int, **options: Any) -> Frame:
    inputs, y = make_classification(rows, columns, **options)
    table = pd.DataFrame(inputs, columns=[f"x{number}" for number in range(columns)])
    return table.assign(y=np.where(y == 1, "yes", "no")), "y"


def _cities(random: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    effect = random.normal(size=300)
    city, x, g = random.integers(0, 300, 4000), random.normal(size=4000), random.integers(0, 6, 4000)
    table = pd.DataFrame({"city": [f"city {one}" for one in city], "x": x, "g": [f"group {one}" for one in g]})
    return table, effect[city] + x + 0.5 * x * (g == 2)


def _misspelt(text: str, random: np.random.Generator) -> str:
    if random.random() < 0.5:
        return text
    place = int(random.integers(0, len(text) - 1))
    if random.random() < 0.5:
        return text[:place] + text[place + 1 :]
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]


@dataclass(frozen=True)
class Case:
    """One table, understood and divided; X of the peers is what was read, without excluded columns."""

    name: str
    train: pd.DataFrame
    test: pd.DataFrame
    schema: Schema

    @property
    def is_classes(self) -> bool:
        return self.schema.classes is not None

    @property
    def columns(self) -> list[str]:
        return [one.name for one in self.schema.inputs]

    @property
    def y_train(self) -> np.ndarray:
        return to_y(self.train, self.schema).to_numpy()

    @property
    def y_test(self) -> np.ndarray:
        return to_y(self.test, self.schema).to_numpy()


def cases(chosen: list[str]) -> Iterator[Case]:
    """Each table as `nb data use` understands it."""
    sys.path.insert(0, str(CORPUS))
    from tables import TABLES

    project = load(Path.cwd())
    with tempfile.TemporaryDirectory() as folder:
        for make in GENERATED:
            if not chosen or make.__name__ in chosen:
                table, target = make()
                place = Path(folder) / f"{make.__name__}.parquet"
                table.to_parquet(place)
                yield _case(make.__name__, understand(project, Request(str(place), target, reset=True), place))
        for name, write in TABLES.items():
            if (chosen and name not in chosen) or name in ("several_files", "sqlite"):  # formats of one table above
                continue
            place = Path(folder) / name
            place.mkdir()
            asked = write(place)
            request = Request(asked.source, asked.target, **asked.options, reset=True)
            yield _case(name, understand(project, request, Path(asked.source)))


def _case(name: str, known: Understood) -> Case:
    roles = {column: role.choice for column, role in known.roles.items()}
    how = {"split": known.split.method, "split_by": known.split.by} if known.split else {"split": "stratified"}
    schema = describe_inputs(known.table, known.target, known.task.choice, roles, **how)
    train, test = splitting.split(known.table, schema, test_size=TEST_SIZE, random_state=SEED)
    return Case(name, train, test, learn_inputs(schema, train))


def ours(case: Case) -> np.ndarray:
    first = first_model(task_of(case.schema.task), len(case.train) + len(case.test))
    estimator = estimators.build(first.estimator, first.hyperparameters, case.schema.task, SEED)
    model = fitting.fit(features.pipeline(case.schema, estimator), rows_of(case.train, case.schema))
    tensors = to_X(case.test, case.schema)
    return model.predict_proba(tensors) if case.is_classes else model.predict(tensors)


def skrub(case: Case) -> np.ndarray:
    class_ = HistGradientBoostingClassifier if case.is_classes else HistGradientBoostingRegressor
    model = tabular_pipeline(class_(random_state=SEED))
    return _fitted(case, model, case.train[case.columns], case.test[case.columns])


def boosting(case: Case) -> np.ndarray:
    """What a person writes in five lines: categories as pandas has them, times as numbers."""
    class_ = HistGradientBoostingClassifier if case.is_classes else HistGradientBoostingRegressor
    train, test = _as_categories(case)
    return _fitted(case, class_(categorical_features="from_dtype", random_state=SEED), train, test)


def autogluon(case: Case) -> np.ndarray | None:
    """In a process of its own: its libraries are older than the project's. None where it does not install."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        target = case.y_train
        for name, part in (("train", case.train), ("test", case.test)):
            part[case.columns].to_json(place / f"{name}.json", orient="split", date_format="iso")
        np.save(place / "y.npy", target)
        environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
        command = ["uv", "run", "--no-project", "--quiet", "--with", AUTOGLUON]
        program = [str(HERE / "autogluon_peer.py"), folder, str(AUTOGLUON_SECONDS), case.schema.task]
        done = subprocess.run([*command, *program], env=environment, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            print(f"{case.name}: AutoGluon: {done.stderr.strip()[-300:]}", file=sys.stderr)
            return None
        return np.load(place / "predicted.npy")


def _as_categories(case: Case) -> tuple[pd.DataFrame, pd.DataFrame]:
    train, test = {}, {}
    for name in case.columns:
        column = case.train[name]
        if pd.api.types.is_datetime64_any_dtype(column):
            train[name], test[name] = (part[name].astype("int64").astype(float) for part in (case.train, case.test))
        elif pd.api.types.is_numeric_dtype(column):
            train[name], test[name] = (part[name].astype(float) for part in (case.train, case.test))
        else:
            frequent = column.astype(str).value_counts().index[:250]
            kind = pd.CategoricalDtype(frequent)
            train[name], test[name] = (part[name].astype(str).astype(kind) for part in (case.train, case.test))
    return pd.DataFrame(train), pd.DataFrame(test)


def _fitted(case: Case, model: Any, train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    model.fit(train, case.y_train)
    if not case.is_classes:
        return model.predict(test)
    found = np.zeros((len(test), len(case.schema.classes)))
    found[:, model.classes_] = model.predict_proba(test)
    return found


def losses(case: Case, predicted: np.ndarray) -> np.ndarray:
    """Of each test row: the log loss, or the squared error in variances of the target."""
    y = case.y_test
    if case.is_classes:
        certain = np.clip(predicted[np.arange(len(y)), y], TINY, 1)
        return -np.log(certain)
    return (predicted - y) ** 2 / np.var(y)


def shown(case: Case, predicted: np.ndarray) -> str:
    y = case.y_test
    if case.is_classes:
        loss = log_loss(y, np.clip(predicted, TINY, 1), labels=np.arange(len(case.schema.classes)))
        return f"{f1_score(y, predicted.argmax(axis=1), average='macro'):.3f} / {loss:.3f}"
    return f"{r2_score(y, predicted):.3f} / {mean_absolute_error(y, predicted):.3g}"


def main() -> None:
    warnings.simplefilter("ignore")
    peers = {"skrub": skrub, "boosting": boosting}
    if "--autogluon" in sys.argv:
        peers["AutoGluon"] = autogluon
    chosen = [one for one in sys.argv[1:] if not one.startswith("-")]
    header = ["table", "rows", "default", *peers, *(f"Δ {name}" for name in peers)]
    print(f"| {' | '.join(header)} |\n|{'---|' * len(header)}", flush=True)
    verdicts: dict[str, list[str]] = {name: [] for name in peers}
    for case in cases(chosen):
        own = ours(case)
        row = [case.name.replace("_", " "), str(len(case.train) + len(case.test)), shown(case, own)]
        differences = []
        for name, peer in peers.items():
            predicted = peer(case)
            if predicted is None:
                row.append("")
                differences.append("")
                continue
            row.append(shown(case, predicted))
            difference = losses(case, own) - losses(case, predicted)
            error = CONFIDENCE * difference.std(ddof=1) / np.sqrt(len(difference))
            differences.append(f"{difference.mean():+.3f} ± {error:.3f}")
            verdict = "worse" if difference.mean() > error else "better" if difference.mean() < -error else "even"
            verdicts[name].append(verdict)
        print(f"| {' | '.join([*row, *differences])} |", flush=True)
    for name, found in verdicts.items():
        counts = ", ".join(f"{found.count(one)} {one}" for one in ("better", "even", "worse"))
        print(f"\nagainst {name}: {counts}")


if __name__ == "__main__":
    main()
