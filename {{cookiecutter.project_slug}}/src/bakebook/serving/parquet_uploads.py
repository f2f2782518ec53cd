"""Parquet files that are sent to be predicted."""

from collections.abc import Iterator
from typing import IO

import pyarrow as pa
from pyarrow import parquet

from bakebook.errors import first_line
from bakebook.serving.problems import wrong
from bakebook.serving.uploads import CHUNK_ROWS, NO_ROWS, Answered, Chunk, Table


class ParquetTable(Table):
    """Any Parquet file that Arrow reads; null and NaN are missing."""

    media = "application/vnd.apache.parquet"

    def chunks(self) -> Iterator[Chunk]:
        first = 0
        try:
            stored = parquet.ParquetFile(self.file)
            places = self._places(stored.schema_arrow.names)
            for batch in stored.iter_batches(CHUNK_ROWS):
                columns = {
                    name: pa.chunked_array([batch.column(place)]) for name, place in places.items()
                }
                yield self._chunk(batch, columns, first)
                first += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise wrong(f"this is not a Parquet file ({first_line(error)})") from None

    def write(self, parts: Iterator[Answered], target: IO[bytes]) -> None:
        writer = None
        for part in parts:
            table = pa.Table.from_batches([part.sent])
            for name, values in self._added_columns(part.answers).items():
                table = table.append_column(name, pa.array(values))
            writer = writer or parquet.ParquetWriter(target, table.schema)
            writer.write_table(table)
        if writer is None:
            raise wrong(NO_ROWS)
        writer.close()
