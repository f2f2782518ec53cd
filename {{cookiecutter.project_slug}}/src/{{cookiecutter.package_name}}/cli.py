"""The commands, thin: `nb --help`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from .errors import BadInput, NoSpace, first_line, out_of_space
from .paths import ROOT

if TYPE_CHECKING:
    from .serving.store import Store


def main() -> None:
    """The command `nb`: what is wrong with the words that follow is said in one sentence, as all else is."""
    try:
        sys.exit(app(standalone_mode=False))
    except Exception as error:
        if not hasattr(error, "format_message"):  # the class of Typer's usage errors has no public name
            raise
        context = getattr(error, "ctx", None)
        if said := error.format_message().rstrip("."):  # nothing where the help was shown instead
            help_ = f"{context.command_path if context else 'nb'} --help"
            print(f"error: {said[0].lower()}{said[1:]} → {help_}", file=sys.stderr)
        sys.exit(BadInput.exit_code)


app = typer.Typer(help="Notebooks that are pipeline stages.", no_args_is_help=True, add_completion=False)
table = typer.Typer(help="The table that the project learns from.", no_args_is_help=True)
app.add_typer(table, name="data")
db = typer.Typer(help="The service's database.", no_args_is_help=True)
app.add_typer(db, name="db")
token = typer.Typer(help="Who may call the service.", no_args_is_help=True)
app.add_typer(token, name="token")
Stage = Annotated[str, typer.Argument(help="The name of the stage, its notebook and its section in params.yaml.")]


@app.command()
def run(stage: Stage) -> None:
    """Run one stage's notebook with the parameters of params.yaml (`dvc repro` calls this)."""
    from .pipeline.run import run

    with _said():
        run(ROOT, stage)


@app.command()
def check(
    reproducible: Annotated[
        bool, typer.Option(help="Also run the pipeline twice, in clones that differ in all but their inputs.")
    ] = False,
) -> None:
    """Hold notebooks, params.yaml and dvc.yaml against each other; exit 1 with one line per fault."""
    from .pipeline.contract import check
    from .pipeline.project import load

    try:
        project = load(ROOT)
        faults = check(project)
    except BadInput as error:
        faults = [str(error)]
    _fail_with(faults)
    typer.echo(f"{len(project.stages)} stages keep their contract")
    if reproducible:
        from .pipeline.reproduce import differences

        with _said():
            _fail_with(differences(project))
        typer.echo("two runs gave the same bytes")


@app.command()
def sync(
    from_run: Annotated[
        bool, typer.Option("--from-run", help="Also add to dvc.yaml what the last runs read and do not depend on.")
    ] = False,
) -> None:
    """Write what can be derived: dependencies, missing parameter lines, canonical notebooks."""
    from .pipeline.sync import add_reads, sync

    with _said():
        added = add_reads(ROOT) if from_run else []
        typer.echo("\n".join([*added, *sync(ROOT)]) or "nothing to do")


@app.command()
def new(name: Stage) -> None:
    """Add a notebook with its stage and its params section; what is already there is kept."""
    from .pipeline.sync import new

    with _said():
        typer.echo("\n".join(new(ROOT, name)) or f"'{name}' is complete")


@app.command()
def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended without loss.")] = False,
) -> None:
    """Look at environment, DVC, MLflow and notebooks; say what is wrong; exit 1 when something stays wrong."""
    from .pipeline.doctor import report

    with _said():
        lines, well = report(ROOT, fix)
        typer.echo("\n".join(lines))
        raise typer.Exit(0 if well else 1)


@app.command()
def estimators(
    task: Annotated[str, typer.Argument(help="classification or regression; empty: that of params.yaml.")] = "",
) -> None:
    """List what `train: estimator` can be, and which are known to say the same in ONNX."""
    from .catalogue import GROUPED, listed
    from .parameters import stage

    with _said():
        task = task or stage("prepare")["task"]
        if task not in GROUPED:
            raise BadInput(f"there is no task '{task}' → nb estimators {' or '.join(GROUPED)}")
        rows = list(listed(task))
        width = max(len(name) for name, _ in rows)
        typer.echo("\n".join(f"{name:<{width}}  {what}" for name, what in rows))


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Where to listen; NB_HOST, else 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="NB_PORT, else 8000.")] = None,
) -> None:
    """Answer programs and people with the model, and keep each prediction in the database."""
    with _said():
        from .serving import server, settings

        server.serve(settings.read(host=host, port=port))


@app.command()
def rollback(
    version: Annotated[str, typer.Argument(help="Of a model that was kept; empty: the one before.")] = "",
) -> None:
    """Let the model that served before serve again; the service swaps within seconds."""
    from .serving import settings
    from .serving.models import Models

    with _said():
        refused, serving = Models(settings.read().state / "models").roll_back(version)
        typer.echo(f"model {serving} serves again; {refused} is refused from now on")


@db.command()
def upgrade() -> None:
    """Bring the tables of the database up to date."""
    from .serving import database

    with _said(), _store() as store:
        typer.echo("upgraded" if database.upgrade(store) else "up to date")


@db.command()
def backup(file: Annotated[Path, typer.Argument(help="A new file, which will hold everything (SQLite).")]) -> None:
    """Copy the whole database, while the service runs, into one file."""
    from .serving import database

    with _said(), _store() as store:
        typer.echo(f"{file}: {_counted(database.back_up(store, file))}")


@db.command()
def restore(file: Annotated[Path, typer.Argument(help="What nb db backup made.")]) -> None:
    """Copy a backup into an empty database, SQLite or PostgreSQL."""
    from .serving import database

    with _said(), _store() as store:
        typer.echo(f"restored {_counted(database.restore(store, file))}")


@db.command()
def export(file: Annotated[Path, typer.Argument(help="A new Parquet file.")]) -> None:
    """Write every labelled prediction as a row of the table, for the pipeline: review it, then nb data feedback."""
    from .data import read_json
    from .paths import SIGNATURE
    from .serving import database

    with _said(), _store() as store:
        written, left_out = database.export(store, read_json(SIGNATURE), file)
        other = f"; {left_out} left out, which a model of another table made" if left_out else ""
        typer.echo(f"{file}: {written} labelled predictions{other}")


@token.command("new")
def new_token(
    name: Annotated[str, typer.Argument(help="Of the person or program; labels will bear it.")],
    scope: Annotated[list[str], typer.Option(help="predict, feedback or admin (all); repeat it.")],
) -> None:
    """Make a token and show it, this once."""
    from .serving import access, database

    with _said(), _store() as store:
        database.upgrade(store)
        typer.echo(access.make(store, name, scope))


@token.command("list")
def list_tokens() -> None:
    """Show whose tokens there are, and what they may do."""
    with _said(), _store() as store:
        rows = store.list_tokens()
        typer.echo("\n".join(f"{r['name']}  {r['scopes']}  {r['made_at']:%Y-%m-%d}" for r in rows) or "no tokens")


@token.command("revoke")
def revoke_token(name: str) -> None:
    """Take a token back; the service knows it within seconds."""
    with _said(), _store() as store:
        store.revoke_token(name)
        typer.echo(f"the token of '{name}' is no longer taken")


@table.command()
def use(
    source: Annotated[
        str, typer.Argument(help="File, folder, pattern, URL or database; empty: look anew at the one in use.")
    ] = "",
    target: Annotated[str, typer.Option(help="The column to predict; as before when empty.")] = "",
    task: Annotated[str, typer.Option(help="classification, regression, or auto: what fits the target.")] = "auto",
    query: Annotated[str, typer.Option(help="What to ask the database: SELECT …")] = "",
    encoding: Annotated[str, typer.Option(help="Of a text file, where the guess is wrong.")] = "",
    missing: Annotated[
        list[str] | None, typer.Option(help="A mark of missing values, such as -200; repeat it.")
    ] = None,
    kind: Annotated[list[str] | None, typer.Option(help="COLUMN=KIND where the guess is wrong; repeat it.")] = None,
    licence: Annotated[str, typer.Option(help="Under which the data may be used; the card repeats it.")] = "",
    anew: Annotated[bool, typer.Option("--anew", help="Forget what params.yaml says of the columns.")] = False,
) -> None:
    """Take a table into the project, and write to params.yaml how it is read and what its columns are."""
    from .intake import Wish, use

    with _said():
        if task not in ("auto", "classification", "regression"):
            raise BadInput(f"there is no task '{task}' → --task classification, regression or auto")
        wish = Wish(source, target, task, query, encoding, tuple(missing or ()), tuple(kind or ()), licence, anew)
        lines = use(ROOT, wish)
        typer.echo("\n".join(lines))


@contextmanager
def _store() -> Iterator["Store"]:
    from .serving import settings
    from .serving.store import Store

    read = settings.read()
    if not read.database_url:
        read.state.mkdir(parents=True, exist_ok=True)
    store = Store(read.database)
    try:
        yield store
    finally:
        store.close()


def _counted(rows: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in rows.items())


@table.command()
def feedback(file: Annotated[Path, typer.Argument(help="What nb db export wrote, reviewed.")]) -> None:
    """Let the project learn from labelled predictions too: adds the file's rows to those it has, tracked by DVC."""
    from .intake import take_feedback

    with _said():
        typer.echo("\n".join(take_feedback(ROOT, file)))


def _fail_with(faults: list[str]) -> None:
    if faults:
        typer.echo("\n".join(faults), err=True)
        raise typer.Exit(1)


@contextmanager
def _said() -> Iterator[None]:
    """Turns what can go wrong into one sentence on stderr and an exit code."""
    try:
        yield
    except KeyboardInterrupt as error:
        _end(str(error) or "interrupted → run the command again", getattr(error, "exit_code", 130))
    except BaseException as error:
        if isinstance(error, OSError):
            kind, remedy = (NoSpace, "free some space") if out_of_space(error) else (BadInput, "mend its permissions")
            _end(f"{first_line(error)} → {remedy}, then run the command again", kind.exit_code)
        if not hasattr(error, "exit_code") or isinstance(error, typer.Exit):
            raise
        _end(str(error), error.exit_code)


def _end(message: str, exit_code: int) -> NoReturn:
    print(f"error: {message}", file=sys.stderr, flush=True)
    raise typer.Exit(exit_code)
