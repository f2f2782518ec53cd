"""Values that may not mean what they say are shown."""

import numpy as np
import pandas as pd
import pytest

from bakebook.tables.oddities import oddities

ROWS = 400


@pytest.mark.parametrize("marker", [-200.0, -999.0, 9999.0])
def test_a_number_far_from_the_rest_that_repeats_is_shown(marker: float) -> None:
    values = np.random.default_rng(0).normal(20, 5, ROWS)
    values[::20] = marker
    (said,) = oddities(pd.DataFrame({"heat": values}))
    assert said.startswith(f"look at 'heat': 5% of 'heat' are {marker:g}, far from all other values")
    assert f"--missing 'heat={marker:g}'" in said


def test_numbers_as_they_are_are_not_shown() -> None:
    chance = np.random.default_rng(0)
    table = pd.DataFrame({"age": chance.integers(0, 90, ROWS), "income": chance.lognormal(8, 1, ROWS)})
    table["gain"] = np.where(chance.random(ROWS) < 0.9, 0, chance.lognormal(8, 1, ROWS))
    table["flag"] = chance.integers(0, 2, ROWS)
    table["job"] = chance.choice(["cook", "nurse", "pilot"], ROWS)
    assert list(oddities(table)) == []


@pytest.mark.parametrize(
    "words",
    [["Yes", "yes "], ["YES", "yes"], ["café", "cafe"], ["New  York", "New York"], ["Straße", "STRASSE"]],
)
def test_words_that_differ_in_their_spelling_alone_are_shown(words: list[str]) -> None:
    (said,) = oddities(pd.DataFrame({"answer": [*words, "no"] * 20}))
    assert said.endswith("differ only in case, blanks or accents (--dtype 'answer=folded', if they are the same)")
    assert all(f"'{word}'" in said for word in words)


@pytest.mark.parametrize("marker", ["unknown", "None", "?", "N.A."])
def test_a_word_that_may_stand_for_a_gap_is_shown(marker: str) -> None:
    (said,) = oddities(pd.DataFrame({"job": ["cook", "nurse", "pilot", marker] * 20}))
    assert f"does '{marker}' mean that the value is missing?" in said
