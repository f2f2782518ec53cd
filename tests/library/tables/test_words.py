"""Words for the same thing: kept and shown, or one word where a person says so, in the table and to the service."""

from pathlib import Path

import pytest

from bakebook.contracts import Input, ModelFile, Signature
from bakebook.serving.schemas import Rows
from bakebook.tables.detection import detect
from bakebook.tables.dtype_inference import infer_dtypes
from bakebook.tables.oddities import oddities
from bakebook.tables.readers import read_untyped, typed

WORDS = {
    "yes": ["Yes", "yes", "YES "],
    "new york": ["New York", "NEW YORK", "New  York", "new york"],
    "zurich": ["Zürich", "Zurich", "ZÜRICH"],
    "cafe": ["Café", "cafe\u0301", "CAFE"],
    "strasse": ["Straße", "STRASSE", "strasse"],
    "sao paulo": ["São Paulo", "Sao Paulo", "são\u00a0paulo"],
    "francais": ["français", "Francais"],
    "istanbul": ["İstanbul", "istanbul", "Istanbul"],
    "москва": ["Москва", "МОСКВА", "москва"],
    "office": ["o\ufb03ce", "office", "Office"],
    "мой": ["Мой", "мой"],
    "が": ["が", "か\u3099"],
    "서울": ["서울", "\u1109\u1165\u110b\u116e\u11af"],
    "αθηνα": ["Αθήνα", "ΑΘΗΝΑ"],
    "tokyo": ["Ｔｏｋｙｏ", "Tokyo", "TOKYO"],
}
OTHERS = ["another", "мои", "か"]


@pytest.fixture(params=WORDS.items(), ids=list(WORDS))
def case(request: pytest.FixtureRequest) -> tuple[str, list[str]]:
    found: tuple[str, list[str]] = request.param
    return found


@pytest.fixture
def source(case: tuple[str, list[str]], tmp_path: Path) -> Path:
    words = [*case[1], *OTHERS, "Unknown"] * 20
    path = tmp_path / "table.csv"
    path.write_text("size,place\n" + "".join(f"{n},{word}\n" for n, word in enumerate(words)), "utf-8")
    return path


def test_words_are_kept_and_shown_until_a_person_says_that_they_are_one(
    case: tuple[str, list[str]], source: Path
) -> None:
    detected, _ = detect(source)
    written = read_untyped(source, detected)
    table = typed(written, infer_dtypes(written, detected, "size"), source.name)
    kept = {word.strip() for word in case[1]}
    assert set(table["place"]) == kept | {*OTHERS, "Unknown"}
    shown = [one for one in oddities(table) if "differ only" in one]
    assert len(shown) == (len(kept) > 1) and all("--dtype 'place=folded'" in one for one in shown)


def test_folded_words_are_one_in_the_table_and_to_the_service(case: tuple[str, list[str]], source: Path) -> None:
    word, spellings = case
    dtypes = {"size": "integer", "place": "folded"}
    options = detect(source)[0].model_copy(update={"missing": ("", "unknown"), "columns": dtypes})
    table = typed(read_untyped(source, options), options, source.name)
    assert set(table["place"].dropna()) == {word, *OTHERS}
    assert table["place"].isna().sum() == 20
    sent = [{"size": 1.0, "place": spelling} for spelling in [*spellings, "UNKNOWN", None]]
    inputs = (Input(name="size", role="numeric"), Input(name="place", role="categorical", levels=(word, *OTHERS)))
    model = ModelFile(file="model.onnx", sha256="0" * 64, bytes=1)
    signature = Signature(model=model, target="y", task="regression", inputs=inputs, reading=options)
    rows = Rows(signature, most=10)
    assert rows.columns(sent)["place"] == [word] * len(spellings) + [None, None]
    assert rows.warnings(rows.meant(sent[0])) == []
