"""What went wrong with a notebook, in one sentence."""

from pathlib import Path

from bakebook.errors import Failure, NoSpace, first_line, out_of_space


class StageFailed(Failure):
    """A notebook raised, took too long, or its kernel died."""


def as_failure(error: BaseException, name: str, notebook: Path) -> BaseException:
    """The same failure in one sentence; what is no failure of a stage, such as an interrupt, as it
    is.
    """
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from nbformat import ValidationError
    from papermill.exceptions import PapermillExecutionError

    read = f"read {notebook.as_posix()}"
    message = str(error)
    if isinstance(error, CellTimeoutError) and "IOPub" in message:
        return StageFailed(
            f"{name}: the kernel's outputs did not arrive within a minute",
            "print less, or dvc repro",
        )
    if isinstance(error, CellTimeoutError):
        what = f"{name} takes longer than pipeline.stage_timeout of params.yaml allows"
        return StageFailed(what, f"{read}, or raise the limit")
    if isinstance(error, DeadKernelError) or (
        isinstance(error, RuntimeError) and "Kernel died" in message
    ):
        return StageFailed(f"{name}: the kernel died, often for lack of memory", read)
    if isinstance(error, RuntimeError) and "Kernel" in message:
        return StageFailed(f"{name}: the kernel does not start ({first_line(error)})", "nb doctor")
    if out_of_space(error) and isinstance(error, OSError | PapermillExecutionError):
        return NoSpace(f"{name}: {_message(error)}", "free some space, then dvc repro")
    if isinstance(error, ValidationError):
        what = f"{name}: an output cannot be stored in a notebook ({first_line(error)})"
        return StageFailed(what, read)
    if isinstance(error, PapermillExecutionError):
        where = f"{name} stopped in code cell {error.exec_count}"
        reason = f"{error.ename}: {_message(error)}" if error.evalue else error.ename
        return StageFailed(f"{where}: {reason}", read)
    return error


def _message(error: BaseException) -> str:
    return first_line(Exception(getattr(error, "evalue", error)))
