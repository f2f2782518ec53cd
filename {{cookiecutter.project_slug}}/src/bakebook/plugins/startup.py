"""What every Python of this environment does when it starts: it turns telemetry off, and makes the
provisioner of warm kernels Jupyter's default.

It is installed outside `src`, and imports nothing that Python has not imported already.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # as mypy knows it; typing itself takes milliseconds
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

DEFAULTS = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DVC_NO_ANALYTICS": "true",
    "HF_HUB_DISABLE_TELEMETRY": "true",
    "ORT_DISABLE_TELEMETRY": "1",
}
FACTORY = "jupyter_client.provisioning.factory"
JUPYTERS_VARIABLE = "JUPYTER_DEFAULT_PROVISIONER_NAME"
OWN_VARIABLE = "NB_PROVISIONER"


class DefaultProvisioner:
    """Waits on `sys.meta_path` until jupyter_client is imported.

    Jupyter's own variable would be inherited by programs of other environments, which do not have
    this provisioner and would start no kernel.
    """

    def find_spec(
        self, name: str, path: object = None, target: object = None
    ) -> "ModuleSpec | None":
        """Finds only the module that chooses the provisioner, and has it read another variable."""
        if name != FACTORY:
            return None
        from importlib.util import find_spec

        sys.meta_path.remove(self)  # type: ignore[arg-type]
        spec = find_spec(name)
        if spec and spec.loader:
            loader: Any = spec.loader
            execute = loader.exec_module

            def exec_module(module: "ModuleType") -> None:
                execute(module)
                module.KernelProvisionerFactory.default_provisioner_name_env = OWN_VARIABLE

            loader.exec_module = exec_module
        return spec


for variable, value in DEFAULTS.items():
    os.environ.setdefault(variable, value)
if JUPYTERS_VARIABLE not in os.environ:
    os.environ.setdefault(OWN_VARIABLE, "warm")
    sys.meta_path.insert(0, DefaultProvisioner())  # type: ignore[arg-type]
