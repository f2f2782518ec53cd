"""CSV files that are sent to be predicted."""

import codecs
import csv
import io
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

from bakebook.contracts import Signature
from bakebook.errors import first_line
from bakebook.serving.problems import WrongRows, wrong
from bakebook.serving.uploads import CHUNK_ROWS, Answered, Chunk, Table, texts
from bakebook.tables.dtypes import (
    DELIMITERS,
    codec,
    unique,
)
from bakebook.tables.values import LONGEST_VALUE

BLOCK_BYTES = 1 << 20
UTF_8 = codec("utf-8")
CSV_ERRORS = (UnicodeError, LookupError, csv.Error)


class CsvTable(Table):
    """A CSV file with a header: in UTF-8 or the encoding of the project's table, with its delimiter
    or a common one.
    """

    media = "text/csv"

    def __init__(
        self,
        file: IO[bytes],
        signature: Signature,
        charset: str = "",
        *,
        has_labels: bool = False,
    ) -> None:
        super().__init__(file, signature, has_labels=has_labels)
        self.has_mark = _has_byte_order_mark(file)
        guessed = "utf-8" if _is_utf8(file) else self.options.encoding
        self.encoding = codec(charset or guessed)
        try:
            self.delimiter, self.header = self._head()
        except CSV_ERRORS as error:
            raise self._no_csv(0, error) from None
        self.places = self._places(self.header)

    def chunks(self) -> Iterator[Chunk]:
        number = 0
        part: list[list[str]] = []
        try:
            lines = self._lines(self.delimiter)
            next(lines)
            for line in lines:
                if len(line) != len(self.header):
                    raise wrong(
                        f"the row has {len(line)} values, the header {len(self.header)}", number
                    )
                part.append(line)
                number += 1
                if len(part) == CHUNK_ROWS:
                    yield self._of_lines(part, number - len(part))
                    part = []
            if part:
                yield self._of_lines(part, number - len(part))
        except CSV_ERRORS as error:
            raise self._no_csv(number, error) from None

    def write(self, parts: Iterator[Answered], target: IO[bytes]) -> None:
        """In UTF-8; with the byte order mark that spreadsheets need if the file had it or another
        encoding.
        """
        is_plain = self.encoding == UTF_8 and not self.has_mark
        text = io.TextIOWrapper(target, encoding="utf-8" if is_plain else UTF_8, newline="")
        writer = csv.writer(text, delimiter=self.delimiter, lineterminator="\n")
        writer.writerow([*self.header, *self.added])
        for part in parts:
            added = zip(*self._added_columns(part.answers).values(), strict=True)
            for line, values in zip(part.sent, added, strict=True):
                writer.writerow([*line, *map(self._written, values)])
        text.flush()
        text.detach()

    def _head(self) -> tuple[str, list[str]]:
        """Delimiter and header: those of the project's table, unless only another delimiter gives
        all inputs.
        """
        for delimiter in (self.options.delimiter, *DELIMITERS):
            with suppress(csv.Error):
                header = next(self._lines(delimiter), [])
                if set(self.options.columns) <= set(unique(header)):
                    return delimiter, header
        return self.options.delimiter, next(self._lines(self.options.delimiter), [])

    def _no_csv(self, number: int, error: Exception) -> WrongRows:
        encoding = self.encoding.removesuffix("-sig")
        return wrong(f"this is not a CSV file in {encoding} ({first_line(error)})", number)

    def _lines(self, delimiter: str) -> Iterator[list[str]]:
        """The header and each row, without empty lines."""
        csv.field_size_limit(LONGEST_VALUE)
        self.file.seek(0)
        text = io.TextIOWrapper(self.file, encoding=self.encoding, newline="")
        try:
            yield from filter(None, csv.reader(text, delimiter=delimiter, strict=True))
        finally:
            with suppress(ValueError):  # the file is closed already
                text.detach()

    def _of_lines(self, lines: list[list[str]], first: int) -> Chunk:
        columns = {}
        for name, place in self.places.items():
            columns[name] = texts([line[place] for line in lines])
        return self._chunk(lines, columns, first)

    def _written(self, value: object) -> object:
        """A number with the decimal separator of the project's table."""
        return str(value).replace(".", self.options.decimal) if isinstance(value, float) else value


def _has_byte_order_mark(file: IO[bytes]) -> bool:
    file.seek(0)
    return file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8


def _is_utf8(file: IO[bytes]) -> bool:
    """Whether the file can be nothing but UTF-8: it has no byte that only UTF-16 or ISO 2022 would
    have.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    file.seek(0)
    try:
        while block := file.read(BLOCK_BYTES):
            if b"\0" in block or b"\x1b" in block:
                return False
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
