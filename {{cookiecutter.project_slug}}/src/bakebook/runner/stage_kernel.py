"""The kernel of a stage as jupyter_client manages it, and the client that talks to it."""

import os
import sys
import time
from contextlib import suppress
from queue import Empty

import zmq
import zmq.asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager
from traitlets import Type, default

READY_TIMEOUT_S = 1.0  # after which the kernel is asked again
OUTPUT_TIMEOUT_S = 0.2  # the same, when only its outputs are missing
RECONNECT_MS = 5  # while the kernel does not listen yet


class StageKernelClient(AsyncKernelClient):
    """A client that does not pause before the first cell."""

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Returns when kernel and outputs are connected; jupyter_client's own method then waits
        0.2 s for outputs of nobody. Raises RuntimeError.
        """
        ends = time.monotonic() + (timeout or float("inf"))
        while time.monotonic() < ends:
            request = self.kernel_info()
            with suppress(Empty):
                await self.get_shell_msg(timeout=READY_TIMEOUT_S)
                while True:
                    output = await self.get_iopub_msg(timeout=OUTPUT_TIMEOUT_S)
                    is_ours = output["parent_header"].get("msg_id") == request
                    if is_ours and output["content"].get("execution_state") == "idle":
                        return
            if not await self.is_alive():
                raise RuntimeError("Kernel died before replying to kernel_info")
        raise RuntimeError(f"Kernel didn't respond in {timeout} seconds")


class StageKernel(AsyncKernelManager):
    """A kernel of this Python, whatever kernelspecs the user has, started through `kernel.py`."""

    client_factory = Type(default_value=StageKernelClient, klass=AsyncKernelClient)

    @default("context")
    def _eager_context(self) -> zmq.asyncio.Context:
        context = zmq.asyncio.Context()
        context.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)  # of every socket
        return context

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        connection_file = os.path.realpath(self.connection_file)
        return [
            sys.executable,
            "-m",
            "bakebook.runner.kernel",
            "-f",
            connection_file,
            # It warns that what it sends could be read, which stays on this machine
            *(["--log-level=ERROR"] if self.transport_encryption == "disabled" else []),
            *(extra_arguments or []),
        ]

    async def _async_interrupt_kernel(self) -> None:
        """Does nothing: a kernel is shut down after its cells have ended, and would report an
        interrupt as an error.

        The method is private to jupyter_client; test_run.py fails when a stage that succeeds prints
        an interrupt.
        """
