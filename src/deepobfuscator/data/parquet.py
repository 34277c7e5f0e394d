"""Parquet files as Hugging Face writes them: labels and embedded pictures."""

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from deepobfuscator.core.errors import InputError

if TYPE_CHECKING:
    from pyarrow import Schema
    from pyarrow.parquet import ParquetFile


def opened(file: Path) -> "ParquetFile":
    """The open file; raises InputError if it, or pyarrow, cannot be used."""
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise InputError(f"{file}: Parquet needs pyarrow: pip install -e '.[parquet]'") from None
    try:
        return ParquetFile(file)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {file}: {str(error).splitlines()[0]}") from None


def pictures_in(schema: "Schema") -> str | None:
    """The column of pictures: bytes, or a struct with a field ``bytes``."""
    for field in schema:
        kind = str(field.type)
        if kind in ("binary", "large_binary") or kind.startswith("struct<bytes: "):
            return str(field.name)
    return None


def read(file: Path) -> tuple[dict[str, list[str]], bool]:
    """Columns as text, and whether pictures are embedded: ``image`` then holds row numbers.

    Raises:
        InputError: the file, or pyarrow, cannot be used.
    """
    with opened(file) as content:
        pictures = pictures_in(content.schema_arrow)
        names = [name for name in content.schema_arrow.names if name != pictures]
        table = content.read(names)
        count = content.metadata.num_rows
    columns = {
        name: ["" if value is None else str(value).strip() for value in column.to_pylist()]
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    if pictures is None:
        return columns, False
    return columns | {"image": [f"{row:06d}" for row in range(count)]}, True


def stored(file: Path, rows: Sequence[int]) -> list[BytesIO]:
    """The encoded pictures of some rows; empty where there is none.

    Raises:
        InputError: the file, or pyarrow, cannot be used.
    """
    with opened(file) as content:
        sizes = [content.metadata.row_group(g).num_rows for g in range(content.num_row_groups)]
    asked: dict[int, list[tuple[int, int]]] = defaultdict(list)
    starts = [sum(sizes[:g]) for g in range(len(sizes))]
    for place, row in enumerate(rows):
        group = max(g for g, start in enumerate(starts) if start <= row and sizes[g])
        asked[group].append((place, row - starts[group]))
    found = [BytesIO()] * len(rows)
    for group, wanted in asked.items():
        held = _group(file, file.stat().st_mtime_ns, group)
        for place, row in wanted:
            found[place] = BytesIO(held[row])
    return found


@lru_cache(maxsize=2)
def _group(file: Path, _changed: int, group: int) -> list[bytes]:
    """Pictures of one row group, cached, since the next chunk reads its next rows."""
    with opened(file) as content:
        name = pictures_in(content.schema_arrow)
        values = content.read_row_group(group, [name]).column(0).to_pylist()
    return [(value.get("bytes") if isinstance(value, dict) else value) or b"" for value in values]
