"""Asks the fork server for a process and reports how it ended; run by the Python of a small environment.

    driver.py warm|cold MODULE [ARGUMENT ...]

The variable NEEDS lists what the server imports first, KEEP_S how long it stays; with SPARE, the next process is
prepared ahead.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from bakebook.warm.client import ColdStart, Process, ask, own_variables, plan, python_path

FOLDER = str(Path.cwd())
mode, module, *arguments = sys.argv[1:]
variables = own_variables(dict(os.environ))
if mode == "cold":
    done = subprocess.run([sys.executable, "-m", module, *arguments], env=variables)
    print("status", done.returncode)
else:
    process = Process(
        module=module,
        argv=["", *arguments],
        variables=variables,
        folder=FOLDER,
        path=[FOLDER, *python_path(variables, FOLDER)],
        needs=tuple(json.loads(os.environ.get("NEEDS", "[]"))),
        keep_s=float(os.environ.get("KEEP_S", "300")),
        may_have_spare="SPARE" in os.environ,
    )
    try:
        forked = ask(process).wait()
        print("forked", forked.pid, forked.told, flush=True)
        if not forked.is_planned:
            plan(variables, [])
        print("status", forked.wait())
    except ColdStart as reason:
        print("cold start:", reason)
