"""Which reader a media type has."""

from typing import IO

from bakebook.contracts import Signature
from bakebook.serving.csv_uploads import CsvTable
from bakebook.serving.parquet_uploads import ParquetTable
from bakebook.serving.uploads import Table


def open_table(
    file: IO[bytes], media: str, charset: str, signature: Signature, *, has_labels: bool = False
) -> "Table":
    """The table in a file of that media type, with labels in the column of the target or without.
    Raises WrongRows when it does not have the model's inputs.
    """
    if media == CsvTable.media:
        return CsvTable(file, signature, charset, has_labels=has_labels)
    return ParquetTable(file, signature, has_labels=has_labels)
