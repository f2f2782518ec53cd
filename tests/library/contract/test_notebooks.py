"""What is removed from executed notebooks so that two runs give the same bytes."""

from pathlib import Path

import pytest

from bakebook.contract import notebooks


@pytest.mark.parametrize(
    ("text", "stable"),
    [
        ("<object at 0x7f4b0ff34900>", "<object at 0x…>"),
        ("<function low...x7f4b0ff34900>", "<function low...0x…>"),
        ("&lt;function low...x7fc13d1a5d00&gt;", "&lt;function low...0x…&gt;"),
        ("<function low...4b0ff34900>", "<function low...0x…>"),
        ("colours from #aabbcc to ...facade", "colours from #aabbcc to ...facade"),
    ],
)
def test_addresses_are_removed_also_where_reprlib_shortened_them(text: str, stable: str) -> None:
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": [], "execution_count": 1}
    outputs = [{"output_type": "display_data", "data": {"text/html": [text]}, "metadata": {}}]
    executed = {"cells": [{**cell, "outputs": outputs}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}

    found = notebooks.normalised(executed, Path("/nowhere"))

    assert found["cells"][0]["outputs"][0]["data"]["text/html"] == [stable]
