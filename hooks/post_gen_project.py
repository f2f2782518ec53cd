"""Keeps the files of the chosen options, and makes the project a git repository."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ANSWERS = json.loads({{ cookiecutter | tojson | tojson }})  # the answers as data: a quote in one cannot end a string

NO_KEYS = "{" + "}"  # both together would be Jinja's


def main() -> None:
    for option, owned in ANSWERS["_files"].items():
        for value, paths in owned.items():
            for path in map(Path, paths):
                keep(path, value) if value == ANSWERS[option] else remove(path)
    steps = [f"cd {ANSWERS['project_slug']}", "uv sync", "uv run dvc repro"]
    if ANSWERS["dataset"] != "wine":
        steps.insert(2, f"uv run nb data use{bring_table()}")
    plain_quotes(Path("params.yaml"))
    write_manifest(Path("src/bakebook"))
    git_init()
    print(f"Baked {ANSWERS['project_slug']}. Next: {', '.join(steps)}")


def bring_table() -> str:
    """Copies a local table, removes the example, and returns the options that `nb data use` still needs."""
    task = ANSWERS["task"]
    forget_example()
    if ANSWERS["__table"]:
        given = Path(ANSWERS["__table"])
        target = Path(ANSWERS["__source"])
        shutil.copytree(given, target) if given.is_dir() else shutil.copy2(given, target)
        ignored = target.with_name(".gitignore")  # as DVC will write it: git does not track the table
        ignored.write_text(f"/{target.name}\n", encoding="utf-8", newline="\n")
    return "" if task == "auto" else f" --task {task}"


def forget_example() -> None:
    """Leaves empty what `nb data use` will write about the table, instead of what is true of the example."""
    Path("data/raw/wine.csv").unlink()
    Path("expectations/suite.json").write_text('{"name": "table", "expectations": []}\n', encoding="utf-8")
    params = Path("params.yaml").read_text(encoding="utf-8")
    for name in ("columns", "roles", "criteria"):
        params = re.sub(rf"(?m)^  {name}:(.*)\n(    .+\n)+", rf"  {name}: {NO_KEYS}\1\n", params)
    for name in ("intended_use", "not_for", "limits"):
        params = re.sub(rf"(?m)^  {name}:(.*)\n(  - .+\n|    .+\n)+", rf"  {name}: []\1\n", params)
    for name in ("data_name", "data_source", "data_license"):
        params = re.sub(rf"(?m)^  {name}: .*?(  #.*)?$", rf"  {name}: unknown\1", params)
    Path("params.yaml").write_text(params, encoding="utf-8", newline="\n")
    pyproject = Path("pyproject.toml").read_text(encoding="utf-8")
    pyproject = re.sub(r"(?m)^example = .*\n", "", pyproject)
    Path("pyproject.toml").write_text(pyproject, encoding="utf-8", newline="\n")


def plain_quotes(path: Path) -> None:
    """Quotes the answers only where YAML needs it, as DVC writes them, so that it changes no such line."""

    def plain(match: re.Match[str]) -> str:
        text = yaml.safe_dump(json.loads(match[1]), allow_unicode=True, width=float("inf"))
        return ": " + text.removesuffix("...\n").strip()

    content = re.sub(r'(?m): ("(?:[^"\\]|\\.)*")(?=  #|$)', plain, path.read_text(encoding="utf-8"))
    path.write_text(content, encoding="utf-8", newline="\n")


def write_manifest(library: Path) -> None:
    """Lists the library's files with their hashes, so that `nb doctor` can say what was changed since."""
    for cache in list(library.rglob("__pycache__")):
        shutil.rmtree(cache)
    hashes = {}
    for path in sorted(path for path in library.rglob("*") if path.is_file()):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        hashes[path.relative_to(library).as_posix()] = hashlib.sha256(content).hexdigest()
    text = json.dumps(hashes, indent=1) + "\n"
    (library / "manifest.json").write_text(text, encoding="utf-8", newline="\n")


def keep(path: Path, value: str) -> None:
    """A file named after its option's value loses that part: LICENSE-MIT becomes LICENSE."""
    if path.stem.endswith(f"-{value}") or path.name.endswith(f"-{value}"):
        path.replace(path.with_name(path.name.replace(f"-{value}", "")))


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def git_init() -> None:
    try:
        subprocess.run(["git", "init", "--quiet", "--initial-branch=main"], check=True)
    except (OSError, subprocess.CalledProcessError):
        sys.exit("error: git is not available, and DVC needs it → install git, then create the project again")


if __name__ == "__main__":
    main()
