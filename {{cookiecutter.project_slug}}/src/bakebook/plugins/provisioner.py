"""Jupyter's kernels of this environment: forked from a process that has imported their libraries
where that is possible, started as usual elsewhere.
"""

import asyncio
import os
import sys
import time
from collections import abc
from pathlib import Path
from typing import Any, cast

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import LocalProvisioner
from traitlets import Bool, Callable, Float, List, Unicode

from bakebook.errors import BadInput
from bakebook.paths import project_root
from bakebook.warm.protocol import COLD, KERNEL, SWITCH

POLL_S = 0.001
SHUTDOWN_TIMEOUT_S = 1.0
FORKABLE = {"env", "cwd", "extra_arguments", "kernel_id"}  # arguments of a start
PID_OF_INIT = "1"  # tells a kernel not to look whether its parent has ended


class WarmProvisioner(LocalProvisioner):
    """Starts kernels on this machine. `nb run` sets the traits; elsewhere they follow from the
    notebook.
    """

    needs = List(Unicode(), None, allow_none=True, config=True, help="Modules to import first.")
    later = Callable(None, allow_none=True, config=True, help="Lists what later kernels need.")
    keep_s = Float(None, allow_none=True, config=True, help="How long the fork server stays idle.")
    may_have_spare = Bool(False, config=True, help="Whether a kernel may be prepared ahead.")

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Forks a kernel of this Python, and starts any other as the base class does."""
        if sys.platform != "linux":  # for mypy, too
            return await super().launch_kernel(cmd, **kwargs)

        from bakebook.warm.client import ColdStart, own_variables

        if _is_forkable(cmd, kwargs):
            kwargs["env"] = own_variables(kwargs.get("env") or dict(os.environ))
            try:
                await self._fork(cmd, kwargs)
                return self.connection_info
            except ColdStart as reason:
                print(f"note: cold start: {reason}", file=sys.stderr, flush=True)
        return await super().launch_kernel(cmd, **kwargs)

    async def shutdown_requested(self, restart: bool = False) -> None:
        """Notices within milliseconds that a kernel has ended; its manager looks ten times a
        second.
        """
        ends = time.monotonic() + SHUTDOWN_TIMEOUT_S
        while await self.poll() is None and time.monotonic() < ends:
            await asyncio.sleep(POLL_S)

    async def _fork(self, cmd: list[str], kwargs: dict[str, Any]) -> None:
        from bakebook.warm.client import Process, ask, plan, python_path

        folder = str(Path(kwargs.get("cwd") or ".").absolute())  # nbconvert names a relative one
        variables = kwargs["env"] | {"JPY_PARENT_PID": PID_OF_INIT}
        needs, later = self._derived(Path(folder), variables)
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123
            process = Process(
                module=cmd[2],
                argv=cmd[2:],
                variables=variables,
                folder=folder,
                path=[folder, *python_path(variables, folder)],
                streams=(nothing.fileno(), 1, 2),
                needs=tuple(needs),
                keep_s=self.keep_s,
                may_have_spare=self.may_have_spare,
            )
            asked = ask(process)
            forked = asked.poll()
            while forked is None:
                await asyncio.sleep(POLL_S)
                forked = asked.poll()
        self.process = forked  # type: ignore[assignment]
        self.pid = self.pgid = forked.pid
        self.cwd = folder
        if forked.told:
            own = forked.told | {"key": forked.told["key"].encode()}
            self.connection_info = cast(KernelConnectionInfo, own)
        if not forked.is_planned:
            plan(variables, later())

    def _derived(
        self, folder: Path, variables: dict[str, str]
    ) -> tuple[list[str], abc.Callable[[], list[str]]]:
        """What the kernel of a notebook needs, and how to find what others of the project need."""
        if self.needs is not None:
            return self.needs, self.later
        from bakebook.contract.project import load
        from bakebook.warm import needs

        try:
            project = load(project_root(folder))
            name = Path(variables.get("JPY_SESSION_NAME", "")).stem
            own = needs.of_stage(project, name) if name in project.notebooks else list(KERNEL)
        except (BadInput, SyntaxError):
            return list(KERNEL), list
        return own, lambda: needs.of_pipeline(project)


def _is_forkable(cmd: list[str], kwargs: dict[str, Any]) -> bool:
    """Whether it is a module of this Python, with nothing that only a real start can give."""
    is_ours = cmd[:2] == [sys.executable, "-m"] and kwargs.keys() <= FORKABLE
    return is_ours and os.environ.get(SWITCH) != COLD
