"""A big night's files on other machines: each is read by a worker of Dask, which brings its rows into tables of their own;
whoever takes the night puts these into its batch, in the files' order, in the one transaction that makes it.

So a night is there as a whole or not at all, as ever, and its rows lie as if one process had brought them. A worker that dies
loses a file's part, which another one brings again.

Rows that are put together are written twice, the second time by one process of Postgres, which takes over half as long as reading
CSV here does. So a file is read elsewhere where reading is slow, or where many do it.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from itertools import repeat

from domain.errors import OvernightError, SourceError
from domain.words import RunState
from infra.settings import load_settings
from store.engine import transaction
from store.parts import drop_parts, open_part
from tasks.context import Night, load_night
from tasks.ingest.files import SourceFile, look_at
from tasks.ingest.load import Brought, load_part

WORTH_SPREADING = 32 << 20  # bytes of all files; below, a process has read them before the workers' rows are put together
ENOUGH, ENOUGH_OF = 4, {"jsonl": 2}  # workers: fewer are no faster than one process (docs/scale.md)


@contextmanager
def brought_by_workers(night: Night, files: Sequence[SourceFile]) -> Iterator[Iterator[Brought | None] | None]:
    """What workers bring of each file in turn, asked for when the first one is looked at; None when nothing is spread.

    To be left after the transaction that puts it together: what nobody took is dropped then.
    """
    address = _address_for(night, files)
    if address is None:
        yield None
        return
    try:
        with closing(_bring(address, night, files)) as brought:
            yield brought
    finally:
        with suppress(OvernightError):  # what cannot be dropped now is swept later
            drop_parts(night.engine, night.run)


def _address_for(night: Night, files: Sequence[SourceFile]) -> str | None:
    from tasks.spread import address_of

    if len(files) < 2 or sum(file.bytes for file in files) < WORTH_SPREADING:
        return None
    return address_of(night.definition, night.settings)


def _bring(address: str, night: Night, files: Sequence[SourceFile]) -> Generator[Brought | None]:
    from infra.cluster import connect, count_workers, work_through

    pieces = [(night.run.id, number, file) for number, file in enumerate(files)]
    with connect(address) as client:
        if count_workers(client) < ENOUGH_OF.get(night.pipeline.source.kind, ENOUGH):
            yield from repeat(None, len(files))
        else:
            yield from work_through(client, bring_there, pieces, in_order=True)


def bring_there(run_id: int, number: int, file: SourceFile) -> Brought | None:
    """One file of a night, by the worker that this is called on, with its own settings; None when it does not find the file, so
    that whoever asked has to read it, or when nobody waits for it any more.

    Raises SourceError when the file is not what source and contract say.
    """
    night, here = load_night(run_id, load_settings()), _found_here(file)
    if here is None or night.run.state is not RunState.RUNNING:
        return None
    with transaction(night.engine) as connection:
        return load_part(connection, open_part(connection, night.run, number), night.pipeline, here)


def _found_here(file: SourceFile) -> SourceFile | None:
    """The same file as this machine sees it, None where the same path holds nothing, or something else."""
    try:
        here = look_at(file.path, file.name)
    except SourceError:
        return None
    same = file.sha256.partition(":")[0] == here.sha256  # a zip's member is named by the zip and its own checksum
    return replace(file, changed=here.changed) if same else None
