"""Processes that are forked and prepared before anybody asks for them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from warm.world import SOURCE, World, gone, within

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the fork server needs Linux")

# A module that is prepared; STATE tells later what preparing saw
MODULE = """
import os, sys
from pathlib import Path
from bakebook.warm.protocol import Prepared
{before}
def prepare():
    global prepared
    prepared = True
    if THREAD:
        import threading
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    {ahead}
    return Prepared(main, {{"by": os.getpid()}}, [Path(path) for path in {read}])
prepared = False
THREAD = {thread}
def main():
    print("prepared", prepared, "by", os.getpid(), flush=True)
    {after}
if __name__ == "__main__":
    main()
"""
SPARE = {"SPARE": "1"}
KINDS = pytest.mark.parametrize("thread", [True, False], ids=["used itself", "copied"])


def module_of(
    world: World, before: str = "", ahead: str = "pass", after: str = "pass", read: str = "[]", thread: bool = False
) -> str:
    name = world.module(MODULE.format(before=before, ahead=ahead, after=after, read=read, thread=thread))
    time.sleep(0.1)  # a spare that begins at once could not be sure that the file is the same
    return name


def run(world: World, module: str, *arguments: str, **variables: str) -> str:
    return world.run("warm", module, *arguments, variables={**SPARE, **variables})


def children(world: World) -> list[int]:
    (server,) = world.servers()
    return children_of(server)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]


def spare(world: World, module: str) -> int:
    """Runs the module, and returns the process that was prepared for the next request."""
    answer = run(world, module)
    assert "prepared False" in answer and "status 0" in answer, answer
    assert within(10, lambda: bool(children(world)))
    time.sleep(0.2)  # while it prepares
    (pid,) = children(world)
    return pid


def test_a_process_with_threads_does_what_the_next_request_asks_for(world: World) -> None:
    module = module_of(world, thread=True)
    pid = spare(world, module)
    for _ in range(3):
        answer = run(world, module)
        assert f"prepared True by {pid}" in answer and "status 0" in answer, answer
        assert f"{{'by': {pid}}}" in answer  # what it tells its caller
        pid = another(world, pid)


def another(world: World, pid: int) -> int:
    assert within(10, lambda: children(world) not in ([], [pid]))
    time.sleep(0.2)  # while it prepares
    (found,) = children(world)
    return found


def test_one_without_threads_is_copied_for_each(world: World) -> None:
    module = module_of(world, after="print('parent', os.getppid())")
    pid = spare(world, module)
    for _ in range(3):
        answer = run(world, module)
        assert "prepared True" in answer and f"parent {pid}" in answer and "status 0" in answer, answer
        assert f"{{'by': {pid}}}" in answer
    assert children(world) == [pid]


def waiting_copy(pid: int) -> int:
    assert within(10, lambda: len(children_of(pid)) == 1)
    return children_of(pid)[0]


def test_a_copy_waits_for_the_next_request(world: World) -> None:
    module = module_of(world)
    pid = spare(world, module)
    for _ in range(3):
        copy = waiting_copy(pid)
        assert f"prepared True by {copy}\n" in run(world, module)
        assert within(10, lambda copy=copy: copy not in children_of(pid))  # type: ignore[misc]


def test_a_copy_that_has_ended_is_replaced(world: World) -> None:
    module = module_of(world)
    pid = spare(world, module)
    os.kill(waiting_copy(pid), signal.SIGKILL)
    answer = run(world, module)
    assert "prepared True" in answer and "status 0" in answer, answer
    assert children(world) == [pid]


def test_a_copy_that_waits_ends_with_the_process_that_was_prepared(world: World) -> None:
    pid = spare(world, module_of(world))
    copy = waiting_copy(pid)
    os.kill(pid, signal.SIGKILL)
    assert within(5, lambda: gone(copy))


@KINDS
@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("raise SystemExit(3)", 3),
        ("os.kill(os.getpid(), 9)", -9),
        ("os.kill(os.getpid(), 15)", -15),
        ("1 / 0", 1),
    ],
)
def test_its_end_is_told(world: World, code: str, status: int, thread: bool) -> None:
    module = module_of(world, after=f"if len(sys.argv) > 1: {code}", thread=thread)
    spare(world, module)
    answer = run(world, module, "end")
    assert "prepared True" in answer and answer.splitlines()[-1] == f"status {status}", answer


REPORT = """import json, resource, signal
    mask = os.umask(0o077); os.umask(mask)
    print(json.dumps({
        "argv": sys.argv[1:], "path": sys.path, "folder": os.getcwd(), "umask": mask,
        "variables": {name: value for name, value in os.environ.items() if name not in ("_", "LC_CTYPE")},
        "dispositions": [str(signal.getsignal(number)) for number in signal.valid_signals()],
        "limits": [resource.getrlimit(n) for n in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)],
        "input": sys.stdin.read(), "hash": hash("x"),
        "files": sorted(os.readlink(f"/proc/self/fd/{fd}")[:5] for fd in (0, 1, 2)),
        "encodings": [sys.stdout.encoding, sys.stderr.encoding], "errors": [sys.stdout.errors, sys.stderr.errors],
    }))"""


@KINDS
def test_a_spare_finds_what_a_cold_start_finds(world: World, thread: bool) -> None:
    module = module_of(world, thread=thread, after=REPORT)
    spare(world, module)
    found = {}
    for mode in ("warm", "cold"):
        said = world.run(mode, module, "--x", variables={**SPARE, "SOME": "thing"}, umask=0o027, preexec_fn=fewer_files)
        assert f"prepared {mode == 'warm'}" in said, said
        found[mode] = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
    assert found["warm"] == found["cold"]
    assert (found["warm"]["umask"], found["warm"]["limits"][0][0]) == (0o027, 200)


@KINDS
def test_a_spare_finds_the_terminal_of_its_caller(world: World, thread: bool) -> None:
    module = module_of(world, thread=thread, after="print('lines', sys.stdout.line_buffering, sys.stdout.isatty())")
    spare(world, module)
    ours, theirs = os.openpty()
    with world.start("warm", module, stdout=theirs, variables=SPARE) as caller:
        os.close(theirs)
        caller.wait()
    answer = os.read(ours, 10_000).decode()
    os.close(ours)
    assert "prepared True" in answer and "lines True True" in answer, answer


def fewer_files() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


@KINDS
def test_streams_that_were_opened_ahead_reach_the_caller(world: World, thread: bool) -> None:
    ahead = "import logging; logging.basicConfig(stream=sys.stderr); global copy; copy = os.dup(1)"
    after = "import logging; logging.error('by a logger'); os.write(copy, b'by a copy\\n')"
    module = module_of(world, thread=thread, ahead=ahead, after=after)
    run(world, module.replace(".", ""), "first")  # fails at the copy, which only a spare has
    assert within(10, lambda: bool(children(world)))
    time.sleep(0.2)
    answer = run(world, module)
    assert all(f"by a {what}" in answer for what in ("logger", "copy")), answer


@KINDS
@pytest.mark.parametrize(
    "edited", ["the module", "one that it imports", "a file that it read", "a hiding package", "a file that is gone"]
)
def test_a_spare_that_is_no_longer_right_is_not_used(world: World, edited: str, thread: bool) -> None:
    (world.folder / "other.py").write_text("value = 1", encoding="utf-8")
    text = world.runtime / "text"
    text.write_text("1", encoding="utf-8")
    other_text = world.runtime / "other text"
    other_text.touch()
    before = f"import other\ntext = Path({str(text)!r}).read_text()"
    module = module_of(
        world,
        before=before,
        after="print('values', other.value, text)",
        read=repr([str(text), str(other_text)]),
        thread=thread,
    )
    pid = spare(world, module)
    expected = "values 1 1"
    if edited == "the module":
        file = world.folder / f"{module}.py"
        file.write_text(file.read_text("utf-8").replace("'values'", "'edited now'"), encoding="utf-8")
        expected = "edited now 1 1"
    elif edited == "one that it imports":
        other = world.folder / "other.py"
        before_it = other.stat()
        other.write_text("value = 22", encoding="utf-8")
        os.utime(other, ns=(before_it.st_atime_ns, before_it.st_mtime_ns))  # as some tools do
        expected = "values 22 1"
    elif edited == "a file that it read":
        text.write_text("2", encoding="utf-8")
        expected = "values 1 2"
    elif edited == "a file that is gone":
        other_text.unlink()
    else:
        (world.folder / "other").mkdir()
        (world.folder / "other" / "__init__.py").write_text("value = 3", encoding="utf-8")
        expected = "values 3 1"
    answer = run(world, module)
    assert "prepared False" in answer and expected in answer and "status 0" in answer, answer
    assert within(5, lambda: gone(pid))


def test_a_file_that_is_edited_while_a_spare_prepares_is_read_again(world: World) -> None:
    (world.folder / "other.py").write_text("value = 1", encoding="utf-8")
    edit = "Path(other.__file__).write_text('value = 22')"
    module = module_of(world, before="import other", ahead=edit, after="print('value', other.value)")
    spare(world, module)
    answer = run(world, module)
    assert "prepared False" in answer and "value 22" in answer, answer


@KINDS
def test_a_file_that_is_new_in_a_folder_that_was_read_is_seen(world: World, thread: bool) -> None:
    folder = world.folder / "sources"
    folder.mkdir()
    (folder / "one.py").touch()
    time.sleep(0.1)
    module = module_of(world, read=f"[{str(folder)!r}]", thread=thread)
    spare(world, module)
    (folder / "two.py").touch()
    answer = run(world, module)
    assert "prepared False" in answer and "status 0" in answer, answer


@KINDS
def test_a_variable_that_was_read_ahead_must_be_the_same(world: World, thread: bool) -> None:
    module = module_of(world, thread=thread, before="colour = os.environ.get('COLOUR')", after="print(colour)")
    spare(world, module)
    answer = run(world, module, COLOUR="blue")
    assert "prepared False" in answer and "blue" in answer, answer


@KINDS
def test_a_variable_that_was_set_ahead_is_set(world: World, thread: bool) -> None:
    after = "print('shade', os.environ.get('SHADE'), os.environ.get('OTHER'))"
    module = module_of(world, thread=thread, before="os.environ['SHADE'] = 'dark'", after=after)
    spare(world, module)
    answer = run(world, module, OTHER="thing")
    assert "prepared True" in answer and "shade dark thing" in answer, answer


def test_a_library_that_was_imported_since_is_not_missing(world: World) -> None:
    world.install("late", "value = 1")
    module = module_of(world, after="print('late', 'late' in sys.modules)")
    spare(world, module)
    answer = run(world, module, NEEDS='["late"]')
    assert "prepared False" in answer and "late True" in answer, answer


@pytest.mark.parametrize("ahead", ["print('x', flush=True)", "1 / 0", "os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_what_cannot_be_prepared_costs_nothing_but_time(world: World, ahead: str) -> None:
    module = module_of(world, ahead=ahead)
    for _ in range(2):
        answer = run(world, module)
        assert "prepared False" in answer and "status 0" in answer, answer
        assert "x\n" not in answer
        time.sleep(0.5)


@KINDS
def test_a_stopped_spare_is_replaced(world: World, thread: bool) -> None:
    module = module_of(world, thread=thread)
    pid = spare(world, module)
    os.kill(pid, signal.SIGSTOP)
    answer = run(world, module)
    assert "prepared False" in answer and "status 0" in answer, answer
    assert within(5, lambda: gone(pid))


@pytest.mark.parametrize("ahead", ["pass", "import time; time.sleep(60)"], ids=["prepared", "preparing"])
@pytest.mark.parametrize("how", ["killed", "told"])
def test_a_spare_ends_with_its_server(world: World, how: str, ahead: str) -> None:
    pid = spare(world, module_of(world, ahead=ahead))
    (server,) = world.servers()
    if how == "killed":
        os.kill(server, signal.SIGKILL)
    else:
        next(world.runtime.glob("*/*.socket")).unlink()
    assert within(10, lambda: gone(pid) and gone(server))


@KINDS
def test_a_spare_that_was_taken_ends_with_its_caller_and_survives_its_server(world: World, thread: bool) -> None:
    module = module_of(world, thread=thread, after="import time; time.sleep(30 if len(sys.argv) > 1 else 0)")
    for dies in ("caller", "server"):
        spare(world, module)
        caller = world.start("warm", module, "wait", variables=SPARE)
        assert caller.stdout
        found = re.search(r"prepared True by (\d+)", caller.stdout.readline() + caller.stdout.readline())
        assert found
        pid = int(found[1])
        (server,) = world.servers()
        os.kill(server if dies == "server" else caller.pid, signal.SIGKILL)
        if dies == "server":
            time.sleep(1)
            assert not gone(pid)
            caller.kill()
        assert within(5, lambda pid=pid: gone(pid))  # type: ignore[misc]
        caller.wait()
        for left in world.servers():
            os.kill(left, signal.SIGKILL)


ALONE = """
import os, socket, sys, time
from bakebook.warm.client import Process, _request
from bakebook.warm.protocol import receive, send
from bakebook.warm.standby import stand_by
module, agrees = sys.argv[1], sys.argv[2] == "yes"
request = _request(Process(module, ["", "x"], dict(os.environ), os.getcwd(), [os.getcwd()]))
server, spare = socket.socketpair()
if os.fork() == 0:
    server.close()
    stand_by(request, spare, sys.path[:], [])
spare.close()
receive(server)
alive, of_child = socket.socketpair()
connection, caller = socket.socketpair()
send(server, request, (0, 1, 2, of_child.fileno(), connection.fileno()))
server.recv(1)
if agrees:
    server.sendall(b"!")
server.close()
time.sleep(1)
"""


@KINDS
@pytest.mark.parametrize("agrees", [True, False])
def test_nothing_runs_for_a_server_that_no_longer_waits(world: World, thread: bool, agrees: bool) -> None:
    module = module_of(world, thread=thread)
    command = [str(world.environment / "bin" / "python"), "-c", ALONE, module, "yes" if agrees else "no"]
    variables = {"PYTHONPATH": str(SOURCE), "PATH": os.environ["PATH"]}
    done = subprocess.run(command, cwd=world.folder, env=variables, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert ("prepared True" in done.stdout) == agrees
