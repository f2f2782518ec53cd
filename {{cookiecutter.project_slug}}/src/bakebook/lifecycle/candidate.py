"""The model of the current dvc.lock, as it may be promoted."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bakebook import artifacts
from bakebook.contract.project import Project
from bakebook.contracts import Metrics, Schema, Signature
from bakebook.errors import BadInput, first_line
from bakebook.files import dvc_hash
from bakebook.git import git
from bakebook.models.held_out import identities
from bakebook.models.runtime import Model
from bakebook.paths import (
    COLUMNS,
    METRICS,
    MODEL,
    MODEL_CARD,
    ONNX,
    PLOTS,
    REFERENCE,
    ROOT,
    SCHEMA,
    SIGNATURE,
    TEST,
    TRAIN,
)

NEEDED = (MODEL, ONNX, SIGNATURE, METRICS, SCHEMA, TRAIN, TEST)
COPIED = (
    ONNX,
    SIGNATURE,
    COLUMNS,
    METRICS,
    MODEL_CARD,
    PLOTS,
)  # into the version, where they exist
UNCOMPARED = 'nb promote --uncompared --why "…"'
TRAINING = "training"  # the folder of a version with what its training was
KNOWN_SCHEMA = f"{TRAINING}/schema.json"
KNOWN_ROWS = f"{TRAINING}/rows.npy"
BESIDE_MODEL = (KNOWN_SCHEMA, KNOWN_ROWS, REFERENCE, METRICS.relative_to(ROOT).as_posix())
MOST_REFERENCE_ROWS = 20_000


@dataclass(frozen=True)
class Known:
    """What a comparison needs of a model: its schema, and the identities (n,) of the rows that it
    was trained on.
    """

    model: Model
    schema: Schema
    rows: np.ndarray

    @classmethod
    def load(cls, folder: Path) -> "Known":
        """The champion from the files of its version. Raises BadInput when nb promote did not make
        it.
        """
        onnx, signature = (folder / path.relative_to(ROOT) for path in (ONNX, SIGNATURE))
        try:
            schema = Schema.model_validate_json((folder / KNOWN_SCHEMA).read_bytes())
            rows = np.load(folder / KNOWN_ROWS, allow_pickle=False)
            return cls(Model.load(onnx, signature), schema, rows)
        except Exception as error:  # onnxruntime raises anything for a damaged file
            what = f"the champion's files cannot be read ({first_line(error)})"
            raise BadInput(what, UNCOMPARED) from error


@dataclass(frozen=True)
class Candidate:
    """A model with what its pipeline found out about it. `identity` is the md5 of its signature,
    which names the model's file, its columns.py and how tables are read; `data` are those of the
    source and of the labels that it learnt from too.
    """

    identity: str
    signature: Signature
    schema: Schema
    metrics: Metrics
    data: Mapping[str, str]

    @property
    def sha256(self) -> str:
        return self.signature.model.sha256

    def known(self) -> Known:
        """The model as it is compared with the champion."""
        return Known(Model.load(ONNX, SIGNATURE), self.schema, self._training_rows())

    @contextmanager
    def files(self) -> Iterator[dict[str, Path]]:
        """What belongs to a version of it: each file by its place there."""
        found = {}
        for path in COPIED:
            if path.exists() and (path != COLUMNS or self.signature.columns_sha256):
                found[path.relative_to(ROOT).as_posix()] = path
        with tempfile.TemporaryDirectory() as folder:
            rows = Path(folder) / Path(KNOWN_ROWS).name
            np.save(rows, self._training_rows(), allow_pickle=False)
            reference = Path(folder) / Path(REFERENCE).name
            artifacts.write_table(_reference(), reference)
            yield found | {KNOWN_ROWS: rows, KNOWN_SCHEMA: SCHEMA, REFERENCE: reference}

    def _training_rows(self) -> np.ndarray:
        found = identities(artifacts.read_table(TRAIN), self.schema)
        return np.unique(found.to_numpy())


def _reference() -> pd.DataFrame:
    """The rows that tested the model, of many a random part."""
    rows = artifacts.read_table(TEST)
    return rows.sample(min(len(rows), MOST_REFERENCE_ROWS), random_state=0).sort_index()


def current(project: Project) -> Candidate:
    """The model of dvc.lock. Raises BadInput when the project's files are not those."""
    stages = _locked(project.root)
    hashes = _outputs(stages)
    for path in NEEDED:
        name = path.relative_to(ROOT).as_posix()
        if name not in hashes:
            raise BadInput(f"dvc.lock has no {name}", "dvc repro")
        if not path.is_file():
            raise BadInput(f"there is no {name}", "dvc checkout, or dvc repro")
        if dvc_hash(path) != hashes[name]:
            raise BadInput(f"{name} is not the one of dvc.lock", "dvc repro, or dvc checkout")
    ingest = project.params.get("ingest") or {}
    inputs = {one["path"]: one.get("md5") for one in _entries(stages, "deps")}
    return Candidate(
        dvc_hash(SIGNATURE),
        artifacts.read(Signature, SIGNATURE),
        artifacts.read(Schema, SCHEMA),
        artifacts.read(Metrics, METRICS),
        {
            f"{name}_md5": str(inputs.get(ingest.get(parameter)) or "")
            for name, parameter in (("data", "source"), ("feedback", "feedback"))
        },
    )


def _outputs(stages: Mapping[str, Any]) -> dict[str, str]:
    """The hash of each output. Raises BadInput where a stage has read another version of one: it
    has not run since, and what it says is of another model.
    """
    hashes = {str(one["path"]): str(one.get("md5")) for one in _entries(stages, "outs")}
    for name, stage in stages.items():
        for one in stage.get("deps", ()):
            if hashes.get(one["path"], "") not in ("", str(one.get("md5"))):
                what = f"{one['path']} has changed since stage '{name}' ran"
                raise BadInput(what, "dvc repro")
    return hashes


def _entries(stages: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    return [one for stage in stages.values() for one in stage.get(kind, ())]


def commit(root: Path) -> dict[str, str]:
    """The commit, and whether what makes a model was changed since; empty without git."""
    head = git(root, "rev-parse", "HEAD")
    if not head:
        return {}
    changes = git(root, "status", "--porcelain", "--", ".", ":!reports", ":!models")
    return {"commit": head, "uncommitted_changes": str(bool(changes)).lower()}


def _locked(root: Path) -> Mapping[str, Any]:
    """The stages of dvc.lock."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        lock = YAML(typ="safe").load((root / "dvc.lock").read_text(encoding="utf-8"))
        return dict(lock["stages"])
    except FileNotFoundError:
        raise BadInput("there is no model yet: dvc.lock does not exist", "dvc repro") from None
    except (OSError, YAMLError, KeyError, TypeError, AttributeError):
        raise BadInput("dvc.lock cannot be read", "nb doctor") from None
