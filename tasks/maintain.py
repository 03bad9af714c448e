"""`maintain`: what is swept besides pruned batches: half-loaded ones, tables and folders that nobody speaks for, old logs, and
the history of Prefect's runs. Each sweep can be asked what it would do, and is safe to repeat."""

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from deployments.catalogue import pipeline_names
from domain.errors import OvernightError, Retryable
from domain.pruning import size_words
from infra.prefect_api import FlowRun, PrefectApi, find_server
from infra.settings import Settings
from store.engine import transaction
from store.pruning import abandon_left_over, left_overs, orphans
from tasks.context import writer_engine
from tasks.prepare import prepare
from tasks.pruning import plan, prune

FLOWS = ("nightly", "backfill", "maintain")
HALF_AFTER = timedelta(days=2)  # until then the next run of the night may go on from what was loaded
PAGE, ROUNDS = 200, 25  # runs; what is left goes the next time


log = logging.getLogger("overnight.maintain")


def keep_house(settings: Settings, *, at: datetime, who: str) -> str:
    """Prunes every pipeline by its own limits, then sweeps; says in one sentence what went. A pipeline whose definition is
    wrong, or whose rows are being read, does not keep the others from their turn."""
    names = pipeline_names(settings.deployments)
    parts = [sentence for name in names if (sentence := _prune(settings, name, at=at, who=who))]
    parts += [f"{len(one.found):,} {one.what}" for one in sweep(settings, names, at=at, act=True)]
    return f"went: {'; '.join(parts)}" if parts else "nothing is older than its limit"


def _prune(settings: Settings, name: str, *, at: datetime, who: str) -> str:
    try:
        (definition,) = prepare(settings, name)
        deeds = list(prune(definition, settings, plan(definition, settings, at=at), who=who))
    except Retryable:
        raise
    except OvernightError as error:
        log.warning("%s", error.at(name))
        return f"{name} was left as it is: {error.what}"
    for deed in deeds:
        log.info("%s batch %s %s: %s", name, deed.old.batch, deed.old.part, deed.stays or f"{size_words(deed.freed)} freed")
    gone = [deed for deed in deeds if not deed.stays]
    return f"{len(gone):,} parts of batches of {name} ({size_words(sum(deed.freed for deed in gone))})" if gone else ""


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep found, or took away, by name."""

    what: str
    found: Sequence[str]

    def to_json(self) -> dict[str, object]:
        return {"what": self.what, "found": list(self.found)}


def sweep(settings: Settings, names: Sequence[str], *, at: datetime, act: bool) -> list[Swept]:
    """Every sweep, in their order; without `act` they only look."""
    found = [
        Swept("half-loaded batches", [label for name in names for label in _half_loaded(settings, name, at=at, act=act)]),
        Swept("tables of no batch", [f"{name}.{one}" for name in names for one in _orphans(settings, name, act=act)]),
        Swept("old logs", _old_files(settings, at=at, act=act)),
        Swept("folders of sources left by killed runs", _old_folders(at=at, act=act)),
        Swept("finished runs in Prefect's history", _history(settings, at=at, act=act)),
    ]
    return [one for one in found if one.found]


def _half_loaded(settings: Settings, name: str, *, at: datetime, act: bool) -> list[str]:
    engine, before = writer_engine(settings), at - HALF_AFTER
    with transaction(engine) as connection:
        found = left_overs(connection, name, before=before)
    gone = []
    for batch in found:
        with transaction(engine) as connection:
            if not act or abandon_left_over(connection, name, batch, before=before):
                gone.append(f"{name} batch {batch}")
    return gone


def _orphans(settings: Settings, name: str, *, act: bool) -> list[str]:
    with transaction(writer_engine(settings)) as connection:
        return orphans(connection, name, drop=act)


def _old_files(settings: Settings, *, at: datetime, act: bool) -> list[str]:
    return _old_paths((settings.home.absolute() / "logs").glob("*"), before=at - timedelta(days=settings.history_days), act=act)


def _old_folders(*, at: datetime, act: bool) -> list[str]:
    return _old_paths(Path(tempfile.gettempdir()).glob("overnight-source-*"), before=at - HALF_AFTER, act=act)


def _old_paths(paths: Iterable[Path], *, before: datetime, act: bool) -> list[str]:
    old = [path for path in paths if _is_old(path, before)]
    for path in old if act else []:
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    return [path.name for path in old]


def _is_old(path: Path, before: datetime) -> bool:
    """Whether nothing of it was written since then, and it is this user's."""
    try:
        known = path.stat()
    except OSError:
        return False
    return known.st_uid == os.getuid() and known.st_mtime < before.timestamp()


def _history(settings: Settings, *, at: datetime, act: bool) -> list[str]:
    """Only runs of our flows over pipelines that are here; a Prefect server may be shared. Ended children of a run that still
    goes on are left until it has ended too."""
    url = find_server(settings)
    if url is None:
        return []
    ours = {None, *pipeline_names(settings.deployments)}
    before = at - timedelta(days=settings.history_days)
    with PrefectApi(url) as api:
        return _trim(api, before=before, ours=lambda run: run.parameters.get("pipeline") in ours, act=act)


def _trim(api: PrefectApi, *, before: datetime, ours: Callable[[FlowRun], bool], act: bool) -> list[str]:
    gone: list[str] = []
    passed = 0
    for _ in range(ROUNDS):
        page = api.ended_runs(of=FLOWS, before=before, offset=passed)
        found = [run for run in page if ours(run)]
        gone += [run.name for run in found]
        for run in found if act else []:
            api.delete_run(run)
        passed += len(page) - (len(found) if act else 0)
        if len(page) < PAGE:
            break
    return gone
