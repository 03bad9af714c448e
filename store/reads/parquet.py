"""Rows as a Parquet file, streamed: CSV blocks as they come from COPY in, bytes of the file out, one row group in memory.

The one place of the reading side where Arrow is imported, and late. What is nothing or empty stays told apart.
"""

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from domain.errors import UsageError

BLOCK = 1 << 20  # bytes of CSV text that are parsed at once; Arrow reads up to 32 of them ahead
GROUP = 8  # blocks in a row group
TYPE = "application/vnd.apache.parquet"


def parquet_blocks(blocks: Iterable[bytes], types: Mapping[str, str], *, trust: Mapping[str, Any]) -> Iterator[bytes]:
    """The file's bytes, piece by piece.

    `blocks` are CSV with a header, as `store.reads.export.Copy` gives them; `types` maps each of its columns, in their order,
    to its type in the contract's words; `trust` becomes the file's metadata under the key `overnight`. Decimals and JSON are kept
    as their exact text. Raises UsageError for a value that Parquet has no room for, and whatever `blocks` raises.
    """
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([(name, _arrow(kind)) for name, kind in types.items()])
    schema = schema.with_metadata({"overnight": json.dumps(dict(trust), default=str)})
    source, sink = _Source(blocks), _Sink()
    source.drop_header()
    with parquet.ParquetWriter(sink, schema) as writer:
        if not source.at_end:
            for batches in _grouped(_parsed(source, schema)):
                writer.write_table(pa.Table.from_batches(batches, schema=schema))
                yield from sink.taken()
    yield from sink.taken()


def _grouped(batches: Iterator[Any]) -> Iterator[list[Any]]:
    while group := list(islice(batches, GROUP)):
        yield group


def _parsed(source: "_Source", schema: Any) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import csv

    texts = any(pa.types.is_string(field.type) for field in schema)
    try:
        yield from csv.open_csv(
            pa.PythonFile(source, mode="r"),
            read_options=csv.ReadOptions(column_names=schema.names, block_size=BLOCK, use_threads=False),
            parse_options=csv.ParseOptions(newlines_in_values=texts, ignore_empty_lines=False),  # of one column, nothing is one
            convert_options=csv.ConvertOptions(
                column_types={field.name: field.type for field in schema}, null_values=[""], strings_can_be_null=True,
                quoted_strings_can_be_null=False, true_values=["t"], false_values=["f"],
            ),
        )  # fmt: skip
    except pa.ArrowInvalid as error:
        if source.error is not None:
            raise source.error from None
        said = str(error).splitlines()[0][:200]
        raise UsageError(f"a value has no place in a Parquet file ({said})", hint="the same as csv") from None


def _arrow(kind: str) -> Any:
    import pyarrow as pa

    known = {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64(), "date": pa.date32()}
    return known.get(kind) or (pa.timestamp("us", tz="UTC") if kind == "timestamp" else pa.string())


class _Source(io.RawIOBase):
    """Blocks, read like a file."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks, self._rest = iter(blocks), bytearray()
        self.error: BaseException | None = None

    def readable(self) -> bool:
        return True

    def drop_header(self) -> None:
        """Column names hold no line break, so the header is one line."""
        while b"\n" not in self._rest and self._more():
            pass
        del self._rest[: self._rest.find(b"\n") + 1]

    @property
    def at_end(self) -> bool:
        return not self._rest and not self._more()

    def _more(self) -> bool:
        try:
            block = next(self._blocks, b"")
        except BaseException as error:
            self.error = error
            raise
        self._rest += block
        return bool(block)

    def readinto(self, buffer: Any) -> int:
        """Fills the buffer to its end, because Arrow makes one row group of what comes at once."""
        while len(self._rest) < len(buffer) and self._more():
            pass
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        del self._rest[:size]
        return size


class _Sink(io.RawIOBase):
    """What Parquet has written and nobody has taken yet."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        self._position += len(self._pieces[-1])
        return len(self._pieces[-1])

    def tell(self) -> int:
        return self._position

    def taken(self) -> Iterator[bytes]:
        pieces, self._pieces = self._pieces, []
        if pieces:
            yield b"".join(pieces)
