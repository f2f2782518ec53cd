"""Which files a notebook imports, and what is remembered of them between commands."""

import ast
import json
import os
from pathlib import Path

import pytest

from bakebook.contract.sources import Sources

CODE = ast.parse("from mine.features import build").body


@pytest.fixture
def source(tmp_path: Path) -> Path:
    files = {
        "mine/__init__.py": "",
        "mine/features.py": "import pandas\nif True:\n    from . import steps\n",
        "mine/steps.py": "from mine.deep.down import x\n",
        "mine/other.py": "",
        "mine/deep/__init__.py": "",
        "mine/deep/down.py": "from ..features import build  # a circle\n",
    }
    for name, text in files.items():
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "src"


def names(files: set[Path], source: Path) -> list[str]:
    return sorted(file.relative_to(source / "mine").as_posix() for file in files)


def test_imports_are_followed(source: Path) -> None:
    found = names(Sources(source).imported_by(CODE), source)
    assert found == ["__init__.py", "deep/__init__.py", "deep/down.py", "features.py", "steps.py"]
    assert names(Sources(source).named("mine.other.Something"), source) == ["__init__.py", "other.py"]
    assert names(Sources(source).with_imports(source / "mine" / "other.py"), source) == ["other.py"]


def test_files_that_did_not_change_are_not_parsed_again(source: Path, tmp_path: Path) -> None:
    memory = tmp_path / "imports.json"
    first = Sources(source, memory)
    first.imported_by(CODE)
    first.remember()
    content = json.loads(memory.read_text("utf-8"))
    content["files"]["mine/features.py"][1] = ["mine.other"]
    memory.write_text(json.dumps(content), encoding="utf-8")
    assert names(Sources(source, memory).imported_by(CODE), source) == ["__init__.py", "features.py", "other.py"]


def test_an_edited_file_is_parsed_again_even_with_its_old_time_and_size(source: Path, tmp_path: Path) -> None:
    memory = tmp_path / "imports.json"
    first = Sources(source, memory)
    first.imported_by(CODE)
    first.remember()
    steps = source / "mine" / "steps.py"
    before = steps.stat()
    steps.write_text("from mine.other     import x\n", encoding="utf-8")
    os.utime(steps, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert steps.stat().st_size == before.st_size
    assert "other.py" in names(Sources(source, memory).imported_by(CODE), source)


def test_a_new_module_is_found_although_the_files_that_import_it_did_not_change(source: Path, tmp_path: Path) -> None:
    memory = tmp_path / "imports.json"
    features = source / "mine" / "features.py"
    features.write_text("from mine.steps import later\n", encoding="utf-8")
    first = Sources(source, memory)
    assert "steps/later.py" not in names(first.imported_by(CODE), source)
    first.remember()
    (source / "mine" / "steps").mkdir()
    (source / "mine" / "steps" / "later.py").write_text("", encoding="utf-8")
    assert "steps/later.py" in names(Sources(source, memory).imported_by(CODE), source)


@pytest.mark.parametrize("text", ["", "[]", "{", "{}", '{"reader": 1, "files": {}}', "[1]", "null"])
def test_a_broken_memory_is_forgotten(source: Path, tmp_path: Path, text: str) -> None:
    memory = tmp_path / "imports.json"
    memory.write_text(text, encoding="utf-8")
    sources = Sources(source, memory)
    assert len(sources.imported_by(CODE)) == 5
    sources.remember()
    assert json.loads(memory.read_text("utf-8"))["files"]
    content = json.loads(memory.read_text("utf-8"))
    for broken in (3, {"mine/features.py": 3}, {"mine/features.py": [1, 2, 3]}, [["a", "b"]]):
        memory.write_text(json.dumps(content | {"files": broken}), encoding="utf-8")
        assert len(Sources(source, memory).imported_by(CODE)) == 5


def test_no_folder_is_made_for_it(source: Path, tmp_path: Path) -> None:
    sources = Sources(source, tmp_path / "state" / "imports.json")
    assert len(sources.imported_by(CODE)) == 5
    sources.remember()
    assert not (tmp_path / "state").exists()


def test_a_file_that_is_not_python_raises(source: Path, tmp_path: Path) -> None:
    (source / "mine" / "steps.py").write_text("from\n", encoding="utf-8")
    with pytest.raises(SyntaxError) as caught:
        Sources(source, tmp_path / "imports.json").imported_by(CODE)
    assert caught.value.filename == "src/mine/steps.py"
