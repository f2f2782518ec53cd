"""Which reader a media type has."""

from typing import IO

from bakebook.contracts import Signature
from bakebook.serving.csv_uploads import CsvTable
from bakebook.serving.parquet_uploads import ParquetTable
from bakebook.serving.uploads import Table


def open_table(file: IO[bytes], media: str, charset: str, signature: Signature) -> "Table":
    """The table in a file of that media type. Raises WrongRows when it does not have the model's
    inputs.
    """
    if media == CsvTable.media:
        return CsvTable(file, signature, charset)
    return ParquetTable(file, signature)
