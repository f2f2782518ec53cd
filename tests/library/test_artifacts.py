"""What notebooks write is what they show."""

from pathlib import Path

from matplotlib.figure import Figure

from bakebook import artifacts


def test_a_notebook_shows_the_picture_that_was_written(tmp_path: Path) -> None:
    figure = Figure()
    figure.subplots().plot([1, 2])
    picture = artifacts.write_figure(figure, tmp_path / "line.png")
    assert picture._repr_png_() == (tmp_path / "line.png").read_bytes()
    assert repr(picture) == "<Picture line.png>"  # the same in every run
