"""What the doctor says about a library that its owner edited."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from conftest import PROJECT

from bakebook.errors import BadInput, CheckFailed, Failure, Interrupted, did_you_mean
from bakebook.files import PART, atomic
from bakebook.runner.doctor import library_hashes
from bakebook.runner.leftovers import left_files


def test_an_edited_an_added_and_a_removed_file_have_other_hashes(tmp_path: Path) -> None:
    library = Path(shutil.copytree(PROJECT / "src" / "bakebook", tmp_path / "bakebook"))
    before = library_hashes(library)
    (library / "params.py").write_text("# mine\n", encoding="utf-8")
    (library / "own.py").write_text("# mine\n", encoding="utf-8")
    (library / "paths.py").unlink()
    after = library_hashes(library)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed == {"params.py", "own.py", "paths.py"}


def test_line_ends_and_byte_code_are_no_change(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"a\nb\n")
    before = library_hashes(tmp_path)
    (tmp_path / "a.py").write_bytes(b"a\r\nb\r\n")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_bytes(b"x")
    assert library_hashes(tmp_path) == before


def test_an_unfinished_file_is_found_wherever_it_is(tmp_path: Path) -> None:
    (tmp_path / ".dvc" / "tmp" / "nb" / "runs").mkdir(parents=True)
    (tmp_path / "models").mkdir()
    names = [".dvc/tmp/nb/runs/1.json", "params.yaml", "models/model.onnx"]
    parts = [(tmp_path / name).with_name(f".{Path(name).name}{PART}") for name in names]
    for part in parts:
        part.write_bytes(b"half")
        os.utime(part, (0, 0))
    (tmp_path / f".copy.db{PART}").write_bytes(b"still written")
    found = list(left_files(tmp_path))
    assert [one.what.partition(" ")[0] for one in found] == [part.relative_to(tmp_path).as_posix() for part in parts]
    for one in found:
        assert one.fix
        one.fix()
    assert list(left_files(tmp_path)) == [] and (tmp_path / f".copy.db{PART}").exists()


def test_a_copy_of_a_model_that_nobody_finished_is_found_and_removed(tmp_path: Path) -> None:
    names = [".dvc/tmp/nb/champion-abc", "service/candidate-abc", f"service/models/.12{PART}"]
    for name in (*names, "service/models/0123456789ab", "service/candidate-new"):
        (tmp_path / name / "new").mkdir(parents=True)
        (tmp_path / name / "new" / "model.onnx").write_bytes(b"half")
    for name in names:
        os.utime(tmp_path / name, (0, 0))
    found = list(left_files(tmp_path))
    assert [one.what for one in found] == [f"{name} is left of a copy of a model" for name in names]
    for one in found:
        assert one.fix
        one.fix()
    assert list(left_files(tmp_path)) == []
    assert sorted(path.name for path in (tmp_path / "service").iterdir()) == ["candidate-new", "models"]


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b.txt"
    try:
        with atomic(target) as part:
            part.write_text("half", encoding="utf-8")
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert list(target.parent.iterdir()) == []
    with atomic(target) as part:
        part.write_text("whole", encoding="utf-8")
    assert [path.read_text("utf-8") for path in target.parent.iterdir()] == ["whole"]


def test_every_failure_has_its_parts_and_its_exit_code() -> None:
    failure = BadInput("the value is wrong", "fix it")
    assert (failure.what, failure.remedy, failure.exit_code) == ("the value is wrong", "fix it", 2)
    assert str(failure) == "the value is wrong → fix it"
    assert str(CheckFailed("stopped")) == "stopped"
    assert issubclass(BadInput, Failure)
    assert Interrupted(15).exit_code == 143
    assert not isinstance(Interrupted(15), Exception)  # a library that catches Exception lets it through


def test_a_similar_name_is_proposed() -> None:
    assert did_you_mean("tset", ["test", "train"]) == "did you mean 'test'?"
    assert did_you_mean("other", ["test", "train"]) == ""


def test_an_unfinished_notebook_is_not_a_notebook(tmp_path: Path) -> None:
    project = Path(shutil.copytree(PROJECT, tmp_path / "project"))
    with suppress(KeyboardInterrupt), atomic(project / "notebooks" / "train.ipynb") as part:
        part.write_text("{", encoding="utf-8")
        shutil.copy(part, tmp_path / part.name)
        raise KeyboardInterrupt
    shutil.copy(tmp_path / part.name, part)  # as a killed writer leaves it
    assert [path.name for path in (project / "notebooks").glob("*.ipynb") if path.name.startswith(".")] == []
