"""How a command in a clone fails: by its own words, or by the kind of its end."""

import os
import sys
from pathlib import Path

import pytest

from bakebook.errors import BadInput, Busy, Failure, NoSpace
from bakebook.lifecycle.clone import Clone

WRITES = "import sys; sys.stderr.write({!r}); sys.exit({})"


@pytest.mark.parametrize(
    ("said", "exit_code", "kind", "what"),
    [
        ("fatal: write error: No space left on device\n", 128, NoSpace, "the disk is full"),
        ("ERROR: unexpected error - [Errno 28] No space left on device: 'x'\n", 255, NoSpace, "the disk is full"),
        ("error: another runs → wait\n", 5, Busy, "another runs"),
        ("fatal: not a git repository\n", 128, BadInput, "fatal: not a git repository"),
        ("", 9, BadInput, "it ended with 9"),
        ("ERROR: failed to reproduce 'a': x exited with 6\n", 255, NoSpace, "exited with 6"),
    ],
)
def test_a_command_that_fails_is_one_failure(
    tmp_path: Path, said: str, exit_code: int, kind: type[Failure], what: str
) -> None:
    clone = Clone(tmp_path, tmp_path, tmp_path, os.environ)
    with pytest.raises(kind) as failed:
        clone.run(sys.executable, "-c", WRITES.format(said, exit_code))
    assert type(failed.value) is kind and what in failed.value.what and "\n" not in str(failed.value)
