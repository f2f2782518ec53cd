"""How a file that should be there comes back."""

from pathlib import Path

from bakebook.errors import did_you_mean
from bakebook.git import git


def was_lost(root: Path, path: str) -> bool:
    """Whether git still expects the file: nobody has removed it on purpose, as an update of the
    template does.
    """
    return git(root, "ls-files", "--error-unmatch", path) is not None


def way_back(root: Path, path: str) -> str:
    """The command that restores the file from git or DVC; else the name of a file beside it that
    was probably meant, else nothing.
    """
    if was_lost(root, path):
        return f"git restore {path}"
    if git(root, "cat-file", "-e", f"HEAD:./{path}") is not None:
        return f"git checkout HEAD -- {path}"
    if (root / f"{path}.dvc").is_file():
        return f"dvc checkout {path}.dvc, or dvc pull {path}.dvc"
    folder = (root / path).parent
    beside = sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []
    near = did_you_mean(Path(path).name, beside, cutoff=0.7)
    return near.replace("'", f"'{Path(path).parent.as_posix()}/", 1)
