"""The contract: a stage, its notebook, its parameters and its dependencies agree."""

from pathlib import PurePosixPath

from bakebook.contract import annotations, estimator, notebooks, roles
from bakebook.contract.dependencies import derived, is_derived
from bakebook.contract.imports import unknown_imports
from bakebook.contract.missing import was_lost, way_back
from bakebook.contract.own_columns import check_own_columns, path_of
from bakebook.contract.parameters import Fault, Faults, check_parameters, place
from bakebook.contract.project import COMMANDS, Project, executed
from bakebook.contract.schedule import SCHEDULE, check_schedule
from bakebook.errors import BadInput, did_you_mean

RUNNER = "pipeline"  # the section of params.yaml that configures `nb run`
PROMOTE = "promote"
RETRAIN = "retrain"
# The sections that belong to no stage, and the types of their values
SETTINGS = {
    RUNNER: {"stage_timeout": "Positive", "keep_warm": "Seconds"},
    PROMOTE: {"margin": "Margin"},
    RETRAIN: {
        "min_labels": "Count",
        "cooldown": "Rows",
        "on_drift": "bool",
        "rules": "list[Rule]",
    },
    SCHEDULE: {"monitor": "str", "retrain": "str"},
}
COSTS_TIME_ONLY = "keep_warm"  # a wrong value makes a stage slow, and does not stop it
# What the values of a section mean, beyond their types
BY_MEANING = {roles.STAGE: roles.check_roles, estimator.STAGE: estimator.check_estimator}
WAS_EDITED = "contains outputs or metadata of an editor, or names no kernel"
SYNC = "nb sync"  # the remedy of every fault that can be fixed automatically


def check(project: Project) -> list[Fault]:
    """Every fault of the project; only that the table is unknown where it is."""
    if unknown := _unknown_table(project):
        return [unknown]
    faults = [fault for section in SETTINGS for fault in settings(project, section)]
    faults += check_schedule(project)
    faults += _sections(project)
    for name in dict.fromkeys([*project.stages, *project.notebooks]):
        faults += _stage(project, name)
    for name in project.notebooks:
        faults += _form(project, name)
    faults += check_own_columns(project)
    for check_meaning in BY_MEANING.values():
        faults += check_meaning(project)
    project.sources.remember()
    return faults


def require(project: Project, name: str) -> None:
    """Raises BadInput with the stage's first fault, or with what is missing to run it, before
    anything runs.

    Outputs in a notebook do not count: they do not change what a stage does.
    """
    if unknown := _unknown_table(project):
        raise BadInput(f"{unknown.where}: {unknown.what}", unknown.remedy)
    faults = [*settings(project, RUNNER, ignored=COSTS_TIME_ONLY), *_stage(project, name)]
    if not faults and _uses_own_columns(project, name):
        faults += check_own_columns(project)
    if not faults and name in BY_MEANING:
        faults += BY_MEANING[name](project)
    if faults:
        first = faults[0]
        more = f" (and {len(faults) - 1} more: nb check)" if len(faults) > 1 else ""
        raise BadInput(f"{first.where}: {first.what}", first.remedy + more)
    if name not in project.notebooks:
        raise BadInput(f"stage '{name}' runs its own command, not a notebook", f"dvc repro {name}")
    made = _made(project)
    for path in project.files(name, "deps"):
        if not (project.root / path).exists():
            if path in made:
                what = f"stage '{name}' needs {path}, which does not exist yet"
                raise BadInput(what, f"dvc repro {name}")
            remedy = way_back(project.root, path) or "fix the path in dvc.yaml or params.yaml"
            raise BadInput(f"stage '{name}' needs {path}, which does not exist", remedy)


def _unknown_table(project: Project) -> Fault | None:
    """The fault that nobody has described the table's columns, as in a new project; else None."""
    ingest = project.params.get("ingest")
    if not isinstance(ingest, dict) or ingest.get("columns") != {}:
        return None
    what = "ingest.columns is empty: the project does not know the columns of its table yet"
    return Fault(place(ingest, "columns"), what, "nb data use")


def settings(project: Project, section: str, ignored: str = "") -> Faults:
    """The faults of a section that belongs to no stage."""
    values = project.params.get(section) or {}
    types = SETTINGS[section]
    if not isinstance(values, dict):
        where = place(project.params, section)
        yield Fault(
            where, f"section '{section}' is not a mapping", "write one `name: value` per line"
        )
        return
    for key in filter(lambda key: key != ignored, values):
        where = place(values, key)
        if key not in types:
            remedy = did_you_mean(key, types) or f"write one of: {', '.join(types)}"
            yield Fault(where, f"unknown setting '{key}' in section '{section}'", remedy)
        elif found := annotations.mismatch(values[key], types[key]):
            what = f"{section}.{key} is {found.shown} but should be {found.expected}"
            yield Fault(where, what, "fix it")


def _sections(project: Project) -> Faults:
    for name in project.params:
        if name not in project.stages and name not in (*SETTINGS, *COMMANDS):
            remedy = did_you_mean(name, project.stages) or "remove it"
            yield Fault(
                place(project.params, name), f"section '{name}' belongs to no stage", remedy
            )


def _stage(project: Project, name: str) -> Faults:
    is_stage = name in project.stages
    if not is_stage and not _is_command(project, name):
        yield _missing_stage(project, name)
        return
    if name not in project.notebooks:
        yield from _missing_notebook(project, name)
        return
    if is_stage:
        yield from _command(project, name)
    notebook = project.notebooks[name]
    where = f"notebooks/{name}.ipynb"
    if notebook.get("nbformat") != 4 or not all(cell.get("id") for cell in notebook["cells"]):
        yield Fault(where, "is of an older format, without ids of its cells", SYNC)
    try:
        needed = derived(project, name)
    except SyntaxError as error:
        file = str(error.filename)
        place = file if file.startswith("src/") else where
        line = (error.text or "").strip()
        yield Fault(place, f"'{line}' is not valid Python ({error.msg})", "fix it")
        return
    yield from _imports(project, name)
    yield from check_parameters(project, name)
    if is_stage:
        yield from _dependencies(project, name, needed)
        yield from _lists(project, name)


def _is_command(project: Project, name: str) -> bool:
    """Whether a command runs the notebook, which then needs no stage."""
    return name in COMMANDS and name in project.notebooks


def _uses_own_columns(project: Project, name: str) -> bool:
    shown = path_of(project).relative_to(project.root).as_posix()
    return name in project.notebooks and shown in project.files(name, "deps")


def _missing_stage(project: Project, name: str) -> Fault:
    if name in project.notebooks:
        remedy = f"nb new {name}, or move it to exploratory/"
        return Fault(f"notebooks/{name}.ipynb", "has no stage in dvc.yaml", remedy)
    return Fault(
        "dvc.yaml", f"has no stage '{name}'", did_you_mean(name, project.stages) or f"nb new {name}"
    )


def _missing_notebook(project: Project, name: str) -> Faults:
    """A stage whose command is not `nb run` needs no notebook."""
    if name in project.notebook_stages():
        loose = set(project.notebooks) - set(project.stages)
        path = f"notebooks/{name}.ipynb"
        remedy = way_back(project.root, path) or did_you_mean(name, loose) or f"nb new {name}"
        what = f"stage '{name}' has no notebook {path}"
        yield Fault(place(project.stages, name, "dvc.yaml"), what, remedy)


def _command(project: Project, name: str) -> Faults:
    stage = project.stages[name]
    command = stage.get("cmd")
    if command != f"nb run {name}":
        where = place(stage, "cmd", "dvc.yaml")
        yield Fault(where, f"stage '{name}' runs '{command}' instead of 'nb run {name}'", SYNC)


def _imports(project: Project, name: str) -> Faults:
    source = project.root / "src"
    statements = notebooks.statements(project.notebooks[name])
    for missing in unknown_imports(statements, source, source):
        where = f"notebooks/{name}.ipynb"
        file = f"src/{missing.replace('.', '/')}.py"
        remedy = way_back(project.root, file) if was_lost(project.root, file) else "fix the import"
        yield Fault(where, f"imports {missing}, which does not exist", remedy)


def _dependencies(project: Project, name: str, needed: list[str]) -> Faults:
    stage = project.stages[name]
    made = _made(project)
    declared = project.files(name, "deps")
    where = place(stage, "deps", "dvc.yaml")
    for path in needed:
        if path not in declared:
            yield Fault(
                where, f"stage '{name}' does not depend on {path}, which its notebook uses", SYNC
            )
    for number, path in enumerate(declared):
        where = f"dvc.yaml:{stage['deps'].lc.item(number)[0] + 1}"
        exists = (project.root / path).exists()
        is_unused = is_derived(project, path) and path not in needed
        if is_unused and (exists or not was_lost(project.root, path)):
            yield Fault(
                where, f"stage '{name}' depends on {path}, which its notebook does not use", SYNC
            )
        elif path not in made and not exists:
            what = (
                f"stage '{name}' depends on {path}, which neither exists nor is written by a stage"
            )
            remedy = way_back(project.root, path) or did_you_mean(path, made) or "fix the path"
            yield Fault(where, what, remedy)


def _lists(project: Project, name: str) -> Faults:
    """The stage's own params and its executed notebook."""
    stage = project.stages[name]
    where = place(project.stages, name, "dvc.yaml")
    listed = stage.get("params") or []
    if name in project.params and name not in listed:
        yield Fault(where, f"stage '{name}' does not list its params '{name}'", SYNC)
    for entry in listed:
        section = entry.split(".")[0] if isinstance(entry, str) else None
        if section is not None and section not in project.params:
            remedy = did_you_mean(section, project.params) or "remove it"
            what = f"stage '{name}' lists params '{entry}', which params.yaml does not have"
            yield Fault(place(stage, "params", "dvc.yaml"), what, remedy)
    if executed(name) not in project.files(name, "outs"):
        yield Fault(where, f"stage '{name}' does not list {executed(name)} in outs", SYNC)


def _form(project: Project, name: str) -> Faults:
    path = project.root / "notebooks" / f"{name}.ipynb"
    canonical = notebooks.dumps(notebooks.canonical(project.notebooks[name]))
    if path.read_bytes() != canonical.encode():
        yield Fault(f"notebooks/{name}.ipynb", WAS_EDITED, SYNC)


def _made(project: Project) -> set[str]:
    """Every path that a stage writes, and the folders of these."""
    made = set()
    for name in project.stages:
        for path in project.made(name):
            folders = list(PurePosixPath(path).parents)[:-1]
            made |= {path, *map(str, folders)}
    return made
