"""What happens to files on their way: cut off, half written, two columns swapped under their names."""

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path

from domain.pipeline import Pipeline


def truncate(path: Path, pipeline: Pipeline) -> bool:  # noqa: ARG001  # every damage is done by the same call
    """Keeps three fifths, and ends in the middle of a row where rows are lines."""
    content = path.read_bytes()
    end = len(content) * 3 // 5
    while end > 1 and content[end - 1 : end] in (b"\n", b"\r", b",", b";"):
        end -= 1
    path.write_bytes(content[:end])
    return True


def half_write(path: Path, pipeline: Pipeline) -> bool:  # noqa: ARG001
    """The last tenth is reserved and not yet written, as a file is whose copying broke off."""
    content = path.read_bytes()
    written = len(content) * 9 // 10
    path.write_bytes(content[:written] + bytes(len(content) - written))
    return True


def swap_columns(path: Path, pipeline: Pipeline) -> bool:
    """The values of a number's or moment's column and of a text's trade places under the names; False where rows are no plain
    lines."""
    source = pipeline.source
    if source.kind != "csv" or not source.header or path.suffix in (".gz", ".zst", ".bz2", ".zip"):
        return False
    kinds = {name: column.type for name, column in pipeline.columns.items()}
    texts = [name for name, kind in kinds.items() if kind == "text"]
    others = [name for name, kind in kinds.items() if kind in ("timestamp", "date", "int", "float", "decimal")]
    rows = list(csv.reader(io.StringIO(path.read_text(source.encoding)), delimiter=source.delimiter))
    header = rows[source.skip]
    pair = next(((header.index(a), header.index(b)) for a in texts for b in others if a in header and b in header), None)
    if pair is None:
        return False
    first, second = pair
    for row in rows[source.skip + 1 :]:
        if len(row) > max(pair):
            row[first], row[second] = row[second], row[first]
    target = io.StringIO()
    csv.writer(target, delimiter=source.delimiter, lineterminator="\n").writerows(rows)
    path.write_text(target.getvalue(), source.encoding)
    return True


DAMAGES: Mapping[str, Callable[[Path, Pipeline], bool]] = {
    "source truncated": truncate,
    "source half written": half_write,
    "source with two columns swapped": swap_columns,
}
