"""A big night's files on other machines: each is read by a worker of Dask, which brings its rows into tables of their own;
whoever takes the night puts these into its batch, in the files' order, in the one transaction that makes it.

So a night is there as a whole or not at all, as ever, and its rows lie as if one process had brought them. A worker that dies
loses a file's part, which another one brings again. Whatever keeps the workers from a file, it is read here.

Rows that are put together are written twice, the second time by one process. So files are read elsewhere where reading is slow,
or where many do it.
"""

import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from itertools import repeat

from domain.errors import OrchestratorUnavailable, OvernightError, SourceError
from domain.fingerprint import fingerprint
from domain.words import RunState
from infra.settings import load_settings
from store.engine import transaction
from store.parts import drop_parts, open_part
from store.pipelines import landed_types
from tasks.context import Night, load_night
from tasks.ingest.files import SourceFile, look_at
from tasks.ingest.load import Brought, load_part
from tasks.ingest.rejects import TYPES

WORTH_SPREADING = 32 << 20  # bytes of all files; below, a process has read them before the workers' rows are put together
TOO_BIG = 128 << 20  # bytes of one file: eight bytes of each of its rows travel, and are kept, as a whole
ENOUGH, ENOUGH_OF = 4, {"jsonl": 2}  # workers: fewer are no faster than one process (docs/scale.md)
log = logging.getLogger("overnight.night")


@contextmanager
def brought_by_workers(night: Night, files: Sequence[SourceFile]) -> Iterator[Iterator[Brought | None] | None]:
    """What workers bring of each file in turn, asked for when the first one is looked at; None when nothing is spread.

    To be left after the transaction that puts it together: the parts are dropped then.
    """
    if night.pipeline.runner.kind != "dask" or not _is_worth_it(files):
        yield None
        return
    try:
        with closing(_bring(night, files)) as brought:
            yield brought
    finally:
        with suppress(OvernightError):  # what cannot be dropped now is swept later
            drop_parts(night.engine, night.run)


def _is_worth_it(files: Sequence[SourceFile]) -> bool:
    """A zip's members are read by one process: each of several would read the whole zip to know it."""
    return (
        len(files) > 1
        and sum(file.bytes for file in files) >= WORTH_SPREADING
        and all(file.bytes <= TOO_BIG and file.member is None for file in files)
    )


def _bring(night: Night, files: Sequence[SourceFile]) -> Generator[Brought | None]:
    from infra.cluster import connect, work_through

    address = _address_of_enough(night)
    if address is None:
        yield from repeat(None, len(files))
        return
    pieces = [(night.run.id, number, file, _reading_of(night)) for number, file in enumerate(files)]
    brought = 0
    try:
        with connect(address) as client:
            for each in work_through(client, bring_there, pieces, in_order=True):
                yield each
                brought += 1
    except OrchestratorUnavailable as error:
        log.warning("%s: %s; what is left of its files is read here", night.label, error.what)
        yield from repeat(None, len(files) - brought)


def _address_of_enough(night: Night) -> str | None:
    """The scheduler, None when it is away or has too few workers."""
    from infra.cluster import workers_at
    from tasks.spread import address_of

    try:
        address = address_of(night.definition, night.settings)
        if address is not None and workers_at(address) >= ENOUGH_OF.get(night.pipeline.source.kind, ENOUGH):
            return address
    except OvernightError as error:
        log.warning("%s: %s; its files are read here", night.label, error.what)
    return None


def _reading_of(night: Night) -> str:
    """What decides how a file is read: a worker whose own differs has another release, or another definition."""
    return fingerprint(night.pipeline.contract_fingerprint, night.code_of("ingest"))


def bring_there(run_id: int, number: int, file: SourceFile, reading: str) -> Brought | None:
    """One file of a night, by the worker that this is called on, with its own settings; None when it does not find the file or
    would read it in another way, so that whoever asked has to read it, or when nobody waits for it any more.

    Raises SourceError when the file is not what source and contract say.
    """
    night, here = load_night(run_id, load_settings()), _found_here(file)
    if here is None or night.run.state is not RunState.RUNNING or _reading_of(night) != reading:
        return None
    try:
        with transaction(night.engine) as connection:
            part = open_part(connection, night.run, number, columns=landed_types(night.pipeline), of_rejects=TYPES)
            return load_part(connection, part, night.pipeline, here)
    except OSError as error:
        raise SourceError(f"{file.name} cannot be read on a Dask worker ({error})", hint="the worker's disk") from None


def _found_here(file: SourceFile) -> SourceFile | None:
    """The same file as this machine sees it, None where the same path holds nothing, or something else."""
    try:
        here = look_at(file.path, file.name)
    except SourceError:
        return None
    return replace(file, changed=here.changed) if file.sha256 == here.sha256 else None
