"""The order of categories that a Parquet file declares: small < medium < large."""

from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from bakebook.contracts import ReadOptions
from bakebook.params import Orders
from bakebook.tables.csv_reader import readable
from bakebook.tables.dtypes import unique
from bakebook.tables.readers import open_files
from bakebook.tables.values import as_text


def declared_orders(path: Path, options: ReadOptions) -> Orders:
    """The categories of each ordered column that is read as text, from least to greatest, as the
    first file of the source declares them; empty for formats that declare none.
    """
    if options.file_format != "parquet":
        return {}
    files = open_files(path)
    name, file = next(files)  # which stays open as long as `files` is not at its end
    with readable(name):
        parts = parquet.ParquetFile(file)
        fields = parts.schema_arrow
        names = dict(zip(unique(fields.names), fields, strict=True))
        ordered = {
            column: field.name
            for column, field in names.items()
            if pa.types.is_dictionary(field.type)
            and field.type.ordered
            and options.columns.get(column) == "text"
        }
        table = parts.read(columns=list(dict.fromkeys(ordered.values())))
    found = {}
    for column, written in ordered.items():
        categories = table[written].combine_chunks().dictionary.to_pylist()
        found[column] = [as_text(one).strip() for one in categories]
    return {column: order for column, order in found.items() if len(order) > 1}
