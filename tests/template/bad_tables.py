"""Files that are no tables, or none to learn from, each with the words that must be said of it."""

import gzip
from pathlib import Path

HEAD = "a,b,y\n"
BODY = "".join(f"{n},{n % 7},{'yes' if n % 2 else 'no'}\n" for n in range(60))
BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "header-only": (HEAD.encode(), "has no rows"),
    "one-row": (f"{HEAD}1,2,yes\n".encode(), "has only one row"),
    "one-class": ((HEAD + BODY.replace("no", "yes")).encode(), "has only the value 'yes'"),
    "no-target": (("a,b,z\n" + BODY).encode(), "has no column 'y' to predict"),
    "empty-target": ((HEAD + "1,2,\n3,4,\n5,6,\n").encode(), "column 'y' has no values"),
    "two-targets": (("a,y,y\n" + BODY).encode(), "has two columns 'y'"),
    "too-many-values": ((HEAD + BODY + "1,2,yes,4\n").encode(), "row 61 has 4 values, the header 3"),
    "too-few-values": ((HEAD + BODY + "1,2\n" + BODY).encode(), "row 61 has 2 values, the header 3"),
    "open-quote": ((HEAD + BODY + '1,"2,yes\n3,4,no\n').encode(), "a quote that opens in row 61 is never closed"),
    "nul": ((HEAD + BODY + "1,\0,yes\n").encode(), "NUL byte in line 62"),
    "huge-value": ((HEAD + BODY + f"{'x' * 1_000_000},1,no\n").encode(), "column 'a', row 61: the value has over"),
    "infinite": ((HEAD + BODY + "inf,1,no\n").encode(), "row 61: 'inf'"),
    "too-exact": ((HEAD + BODY + "9007199254740993,1,no\n").encode(), "row 61: '9007199254740993' is 2^53 or more"),
    "cut-gzip": (gzip.compress((HEAD + BODY).encode())[:-20], "cannot be read as a table"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40, "is not a table"),
    "broken-parquet": (b"PAR1" + bytes(100), "cannot be read as a table"),
    "ambiguous": (("a,b,y\n" + BODY.replace("yes", "3").replace("no", "4") + "1,1,5\n").encode(), "--task regression"),
}


def write(folder: Path, name: str) -> Path:
    endings = {"cut-gzip": "csv.gz", "picture": "png", "broken-parquet": "parquet"}
    path = folder / f"{name}.{endings.get(name, 'csv')}"
    path.write_bytes(BAD[name][0])
    return path
