"""Commands about the pipeline: run, check, sync, new, doctor."""

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from bakebook.cli.errors import end_with, reported
from bakebook.errors import BadInput
from bakebook.paths import ROOT
from bakebook.warm.protocol import KEEP_KERNEL, Prepared

if TYPE_CHECKING:
    from bakebook.contract.project import Project

Stage = Annotated[
    str, typer.Argument(help="The name of the stage, its notebook and its section of params.yaml.")
]


def run(
    stage: Stage,
    keep_kernel: Annotated[
        bool,
        typer.Option(
            KEEP_KERNEL, help="When a cell raises, wait, so that you can look into its kernel."
        ),
    ] = False,
) -> None:
    """Run the notebook of one stage with the parameters of params.yaml (`dvc repro` calls this)."""
    with reported():
        from bakebook.runner.run import run

        run(ROOT, stage, keep_kernel)


def check(
    reproducible: Annotated[
        bool,
        typer.Option(
            help="Also run the pipeline in two clones that share only the inputs, and compare."
        ),
    ] = False,
) -> None:
    """Check that notebooks, params.yaml and dvc.yaml agree; exit with 1 and one line per fault."""
    with reported():
        from bakebook.contract.check import check
        from bakebook.contract.project import load

        try:
            project = load(ROOT)
            faults = [str(fault) for fault in check(project)]
        except BadInput as error:
            faults = [str(error)]
        end_with(faults)
        typer.echo(f"{len(project.stages)} stages are consistent")
        if reproducible:
            from bakebook.runner.reproduce import differences

            end_with(differences(project))
            typer.echo("two runs gave the same bytes")


def sync(
    from_run: Annotated[
        bool,
        typer.Option(
            "--from-run",
            help="Also add to dvc.yaml what the last runs read without depending on it.",
        ),
    ] = False,
) -> None:
    """Write what can be derived: dependencies, missing parameter lines, canonical notebooks."""
    with reported():
        from bakebook.contract.sync import sync

        lines = []
        if from_run:
            from bakebook.runner.outputs import add_reads

            lines += add_reads(ROOT)
        lines += sync(ROOT)
        typer.echo("\n".join(lines) or "nothing to do")


def new(name: Stage) -> None:
    """Add a notebook with its stage and its section of params.yaml; existing parts are kept."""
    with reported():
        from bakebook.contract.sync import new

        typer.echo("\n".join(new(ROOT, name)) or f"'{name}' is complete")


def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Fix what can be fixed without loss.")] = False,
) -> None:
    """Inspect environment, library, DVC, MLflow and notebooks; exit with 1 when something stays
    wrong.
    """
    with reported():
        from bakebook.runner.doctor import report

        lines, is_well = report(ROOT, fix)
        typer.echo("\n".join(lines))
        raise typer.Exit(0 if is_well else 1)


def prepare() -> Prepared:
    """Imports what `nb run` imports, reads the project, and finds what each stage imports and
    whether its parameters are right.
    """
    from ipykernel import kernelspec  # noqa: F401
    from papermill.execute import execute_notebook  # noqa: F401

    from bakebook.contract.check import check
    from bakebook.contract.project import load
    from bakebook.plugins import provisioner  # noqa: F401
    from bakebook.runner import engine, kept_kernel, run  # noqa: F401
    from bakebook.warm import client  # noqa: F401

    project = load(ROOT)
    _ = project.values
    check(project)  # `require` does it again, with what was found here
    sources = [*(ROOT / "src").rglob("*.py"), *(ROOT / "notebooks").glob("*.ipynb")]
    settings = [ROOT / name for name in ("params.yaml", "dvc.yaml", "pyproject.toml")]
    folders = {ROOT / "src", *(file.parent for file in sources)}
    return Prepared(partial(run_forked, project), {}, [*settings, *sources, *folders])


def run_forked(project: "Project | None" = None) -> None:
    """`nb run` in a process of the fork server, which spares it the other commands."""
    _, _, stage, *options = sys.argv
    try:
        with reported():
            from bakebook.runner.run import run

            run(ROOT, stage, KEEP_KERNEL in options, project)
    except typer.Exit as end:
        sys.exit(end.exit_code)


if __name__ == "__main__":
    run_forked()
