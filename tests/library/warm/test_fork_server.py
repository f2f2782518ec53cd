"""The fork server, with real processes in an environment of its own that holds only small modules."""

import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest
from warm.world import SOURCE, World, gone, within

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the fork server needs Linux")

REPORT = """
import json, os, resource, signal, sys, threading
mask = os.umask(0o077); os.umask(mask)
print(json.dumps({
    "argv": sys.argv[1:], "path": sys.path, "folder": os.getcwd(), "umask": mask, "name": __name__,
    "variables": {name: value for name, value in os.environ.items() if name not in ("_", "LC_CTYPE")},
    "dispositions": [str(signal.getsignal(number)) for number in signal.valid_signals()],
    "limits": [resource.getrlimit(n) for n in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)],
    "input": sys.stdin.read(), "leads a session": os.getsid(0) == os.getpid(), "hash": hash("x"),
    "encodings": [sys.stdout.encoding, sys.stderr.encoding, sys.getfilesystemencoding()],
    "errors": [sys.stdout.errors, sys.stderr.errors],
    "threads": [thread.name for thread in threading.enumerate()], "nice": os.nice(0),
}))
"""


def test_a_child_finds_what_a_cold_start_finds(world: World) -> None:
    report = world.module(REPORT)
    variables = {"SOME": "thing", "PYTHONPATH": str(SOURCE), "TZ": "Asia/Tokyo"}
    found = {}
    for mode in ("cold", "warm"):
        said = world.run(mode, report, "--x", "y", variables=variables, umask=0o027, preexec_fn=surround)
        found[mode] = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
    assert found["warm"].pop("leads a session") is True
    assert found["cold"].pop("leads a session") is False
    assert found["warm"] == found["cold"]
    assert found["warm"]["umask"] == 0o027
    assert found["warm"]["limits"][0][0] == 200


def surround() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("print('done')", 0, "done"),
        ("raise SystemExit(3)", 3, ""),
        ("raise SystemExit('no more')", 1, "no more"),
        ("1 / 0", 1, "ZeroDivisionError"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -15, ""),
        ("import atexit; atexit.register(print, 'at the end')", 0, "at the end"),
        (
            "import threading; threading.Timer(0.3, lambda: print('later')).start()",
            0,
            "later",
        ),
        ("import os; os.write(1, b'raw\\n'); os._exit(7)", 7, "raw"),
    ],
)
def test_a_child_ends_as_a_cold_start_does(world: World, code: str, status: int, said: str) -> None:
    module = world.module(code)
    for mode in ("cold", "warm"):
        answer = world.run(mode, module)
        assert answer.splitlines()[-1] == f"status {status}", answer
        assert said in answer


def test_all_children_come_from_one_server_and_an_edited_module_is_read_afresh(world: World) -> None:
    parent = "import os; print('parent', os.getppid())"
    module = world.module(parent)
    first = world.run("warm", module)
    (world.folder / f"{module}.py").write_text(parent.replace("parent'", "edited now'"), encoding="utf-8")
    second = world.run("warm", module)
    (server,) = world.servers()
    assert f"parent {server}" in first
    assert f"edited now {server}" in second


def test_a_needed_library_is_there_before_the_child_starts(world: World) -> None:
    world.install("library", "import os; PID = os.getpid()")
    module = world.module("import library, os; print(library.PID == os.getppid())")
    assert "True" in world.run("warm", module, variables={"NEEDS": '["library.PID", "not_there.x"]'})


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("print('hello')", "prints"),
        ("import os; os.write(2, b'from C')", "prints"),
        ("import warnings; warnings.warn('old', FutureWarning)", "warns"),
        ("raise ValueError", "fails (ValueError)"),
        ("raise SystemExit", "fails (SystemExit)"),
        ("import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()", "starts a thread"),
    ],
)
def test_a_library_whose_import_shows_is_left_to_the_child(world: World, code: str, reason: str) -> None:
    world.install("library", code)
    module = world.module("print('runs')")
    variables = {"NEEDS": '["library"]'}
    answer = world.run("warm", module, variables=variables)
    wanted = f"cold start: importing library {reason}, so the next fork server goes without it"
    assert answer.strip() == wanted
    assert "runs" in world.run("warm", module, variables=variables)


def test_a_variable_that_a_library_read_must_be_the_same(world: World) -> None:
    world.install("library", "import os; COLOUR = os.environ.get('COLOUR')")
    module = world.module("import library; print('colour', library.COLOUR)")
    needs = {"NEEDS": '["library"]'}
    assert "colour red" in world.run("warm", module, variables=needs | {"COLOUR": "red"})
    answer = world.run("warm", module, variables=needs | {"COLOUR": "blue"})
    assert answer == "cold start: the variable COLOUR differs from that of the fork server\n"
    assert "colour red" in world.run("warm", module, variables=needs | {"COLOUR": "red", "OTHER": "x"})


def test_a_variable_that_a_library_sets_is_set_in_the_child(world: World) -> None:
    world.install("library", "import os; os.environ.setdefault('SET', 'here')")
    module = world.module("import library, os; print(os.environ['SET'])")
    needs = {"NEEDS": '["library"]'}
    assert "here" in world.run("warm", module, variables=needs)
    assert "here" in world.run("warm", module, variables=needs | {"SET": "here"})


def test_a_module_in_the_folder_that_hides_a_library_is_the_one_that_is_used(world: World) -> None:
    world.install("library", "PLACE = 'installed'")
    module = world.module("import library; print(library.PLACE)")
    needs = {"NEEDS": '["library"]'}
    assert "installed" in world.run("warm", module, variables=needs)
    (world.folder / "library.py").write_text("PLACE = 'own'", encoding="utf-8")
    assert "library in" in world.run("warm", module, variables=needs)
    assert "own" in world.run("cold", module)


def test_a_library_that_was_edited_is_read_again(world: World) -> None:
    world.install("library", "VALUE = 'old'")
    module = world.module("import library; print(library.VALUE)")
    needs = {"NEEDS": '["library"]'}
    assert "old" in world.run("warm", module, variables=needs)
    time.sleep(1.1)  # between two looks of the server
    world.install("library", "VALUE = 'newer'")
    assert "library.py has changed" in world.run("warm", module, variables=needs)
    assert within(5, lambda: not world.servers())
    assert "newer" in world.run("warm", module, variables=needs)


@pytest.mark.parametrize("variables", [{"OMP_NUM_THREADS": "1"}, {"PYTHONWARNINGS": "ignore"}, {"HTTPS_PROXY": "x"}])
def test_what_a_running_process_cannot_change_has_a_server_of_its_own(world: World, variables: dict[str, str]) -> None:
    module = world.module("import os; print('parent', os.getppid())")
    one, other = world.run("warm", module), world.run("warm", module, variables=variables)
    assert re.findall(r"parent \d+", one) != re.findall(r"parent \d+", other)
    assert len(world.servers()) == 2


SLEEP = "import time; time.sleep(100)"
HOLD = "import ctypes; ctypes.PyDLL(None).sleep(100)"  # keeps Python's lock


@pytest.mark.parametrize("code", [SLEEP, HOLD])
def test_a_child_ends_with_its_caller(world: World, code: str) -> None:
    caller = world.start("warm", world.module(code))
    assert caller.stdout
    child = int(caller.stdout.readline().split()[1])
    assert not gone(child)
    caller.kill()
    caller.wait()
    assert within(5, lambda: gone(child))
    assert "status 0" in world.run("warm", world.module("pass"))


def test_a_child_survives_its_server(world: World) -> None:
    caller = world.start("warm", world.module("import time; time.sleep(1); print('finished')"))
    assert caller.stdout
    caller.stdout.readline()
    (server,) = world.servers()
    os.kill(server, signal.SIGKILL)
    answer = caller.communicate(timeout=30)[0]
    assert "finished" in answer and "status 0" in answer
    assert "status 0" in world.run("warm", world.module("pass"))


def test_a_child_that_is_killed_takes_neither_server_nor_sibling_with_it(world: World) -> None:
    sibling = world.start("warm", world.module("import time; time.sleep(2)"))
    assert sibling.stdout
    sibling.stdout.readline()
    servers = world.servers()
    assert "status -9" in world.run("warm", world.module("import os; os.kill(os.getpid(), 9)"))
    assert "status 0" in sibling.communicate(timeout=30)[0]
    assert world.servers() == servers


def test_a_stopped_server_means_a_cold_start(world: World) -> None:
    module = world.module("pass")
    world.run("warm", module)
    (server,) = world.servers()
    os.kill(server, signal.SIGSTOP)
    try:
        assert world.run("warm", module) == "cold start: the fork server is stopped\n"
    finally:
        os.kill(server, signal.SIGCONT)


def test_a_folder_that_others_can_enter_is_not_used(world: World) -> None:
    folder = world.runtime / f"bakebook-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o755)
    assert "is not a folder of this user alone" in world.run("warm", world.module("pass"))
    folder.chmod(0o700)
    assert "status 0" in world.run("warm", world.module("pass"))


def test_a_place_that_cannot_be_used_means_a_cold_start(world: World) -> None:
    module = world.module("pass")
    deep = world.runtime / ("x" * 100)
    deep.mkdir()
    file = world.runtime / "file"
    file.write_text("")
    for place, reason in (
        (deep, "too long for the path of a socket"),
        (file, "Not a directory"),
        (deep / "none", "No such"),
    ):
        answer = world.run("warm", module, variables={"XDG_RUNTIME_DIR": str(place)})
        assert answer.startswith("cold start: the fork server cannot be used (") and reason in answer


def test_a_process_limit_means_a_cold_start(world: World) -> None:
    module = world.module("pass")
    world.run("warm", module)
    if os.getuid() == 0:
        pytest.skip("the system does not limit root's processes")
    import resource

    (server,) = world.servers()
    resource.prlimit(server, resource.RLIMIT_NPROC, (1, 1))
    assert "the system refuses another process" in world.run("warm", module)


def test_an_idle_server_ends(world: World) -> None:
    world.run("warm", world.module("pass"), variables={"KEEP_S": "0.5"})
    assert world.servers()
    assert within(6, lambda: not world.servers())
    assert not list(world.runtime.rglob("*.socket")) and not list(world.runtime.rglob("*.log"))


def test_a_server_that_keeps_nothing_warm_ends_with_its_caller(world: World) -> None:
    caller = world.start("warm", world.module("import time; time.sleep(3)"), variables={"KEEP_S": "0"})
    assert caller.stdout
    caller.stdout.readline()
    assert world.servers()
    caller.wait()
    assert within(6, lambda: not world.servers())


def test_a_server_ends_with_the_session_that_started_it(world: World) -> None:
    shell = world.start("warm", world.module(SLEEP), start_new_session=True)
    assert shell.stdout
    shell.stdout.readline()
    shell.kill()
    shell.wait()
    assert within(6, lambda: not world.servers())


@pytest.mark.parametrize("change", ["install", "remove the socket"])
def test_a_server_ends_when_its_place_changes(world: World, change: str) -> None:
    world.run("warm", world.module("pass"))
    if change == "install":
        (world.libraries / "new-1.0.dist-info").mkdir()
    else:
        for path in world.runtime.rglob("*.socket"):
            path.unlink()
    assert within(6, lambda: not world.servers())


def test_a_server_holds_no_file_of_a_caller_and_one_thread(world: World) -> None:
    world.run("warm", world.module("pass"))
    (server,) = world.servers()
    links = [path.readlink() for path in Path(f"/proc/{server}/fd").iterdir()]
    assert not [link for link in links if world.folder in link.parents]
    assert Path(f"/proc/{server}/cwd").readlink() == Path("/")
    assert len(list(Path(f"/proc/{server}/task").iterdir())) == 1


def test_garbage_on_the_socket_does_not_end_the_server(world: World) -> None:
    import socket

    world.run("warm", world.module("pass"))
    (path,) = world.runtime.rglob("*.socket")
    for garbage in (b"", b"x", b"\0\0\0\5hello", b"\0\0\0\2{}", b'\0\0\0\x11{"kind": "fork"} '):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(garbage)
    assert "status 0" in world.run("warm", world.module("pass"))
