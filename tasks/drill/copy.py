"""The copy that a drill breaks: a pipeline's folder, the sources of a few of its nights, and a Postgres of its own.

Nothing of the real one is written to; a source that is no file on this machine is read where it is.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import yaml
from psycopg2 import sql

from deployments.catalogue import Definition, load_definition
from deployments.yaml import read_yaml
from domain.errors import UsageError
from domain.interval import Interval
from domain.words import BatchKind
from infra.postgres import Postmaster, embedded_url, find_server, start_server, stop_server
from infra.settings import Settings
from store.engine import create_engine, transaction
from store.migrate import migrate
from store.pipelines import register
from store.publications import published_batches
from tasks.context import writer_engine
from tasks.ingest.place import fill_in, on_server

LEARNED, NIGHTS = 3, 5  # the copy trains on three nights, so that the last of five has a champion and predictions
SOURCE = "OVERNIGHT_DRILL_SOURCE"  # where a source that may hold a password is named to the copy
_BASE = "base"


@dataclass(frozen=True, slots=True)
class Copy:
    """`files` are those of the last night's source that may be damaged; none when it is no file of this machine."""

    settings: Settings
    definition: Definition
    nights: tuple[Interval, ...]
    files: tuple[Path, ...]

    @property
    def last(self) -> str:
        return self.definition.pipeline.calendar.label(self.nights[-1])

    @property
    def server(self) -> Postmaster:
        return start_server(self.settings.postgres_folder)

    def on(self, database: str) -> Settings:
        """The settings of one database of the copy."""
        server = self.server
        urls = {role: embedded_url(server, user=f"overnight_{role}", database=database) for role in ("writer", "reader")}
        return self.settings.model_copy(
            update={
                "database_url": embedded_url(server, database=database),
                "writer_url": urls["writer"],
                "reader_url": urls["reader"],
            }
        )

    def make_base(self) -> Settings:
        """The database that the others are copied from: this version's schema and the pipeline, no night yet."""
        self.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_BASE)))
        here = self.on(_BASE)
        migrate(here.database_url or "")
        owner = create_engine(here.database_url or "", role="owner", pool_size=1)
        register(owner, self.definition.pipeline, expectations=list(self.definition.expectations))
        owner.dispose()
        return here

    def make_database(self, name: str, *, tablespace: str = "pg_default") -> Settings:
        """A database with the nights that the base has."""
        parts = {"name": sql.Identifier(name), "base": sql.Identifier(_BASE), "space": sql.Identifier(tablespace)}
        for statement in _COPY_DATABASE:
            self.execute(sql.SQL(statement).format(**parts))
        return self.on(name)

    def drop_database(self, name: str) -> None:
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def execute(self, statement: sql.Composable) -> Any:
        with closing(psycopg2.connect(embedded_url(self.server, database="postgres"))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchone() if cursor.description else None


# A template's own grants are not copied with it.
_COPY_DATABASE = (
    "CREATE DATABASE {name} TEMPLATE {base} TABLESPACE {space}",
    "GRANT CREATE ON DATABASE {name} TO overnight_owner",
    "GRANT TEMPORARY ON DATABASE {name} TO overnight_writer",
)


@contextmanager
def copied(definition: Definition, settings: Settings) -> Iterator[Copy]:
    """A copy, its server running; all of it is gone afterwards. Raises UsageError without enough nights to copy."""
    nights = _choose_nights(definition, settings)
    folder = Path(tempfile.mkdtemp(prefix=f"overnight-drill-{definition.pipeline.name}-"))
    folder.chmod(0o755)  # the embedded server has a user of its own
    here = Settings(home=folder / "home", deployments=folder / "deployments", data=folder / "data", threads=settings.threads)
    try:
        files = _copy_folder(definition, settings, here, nights)
        start_server(here.postgres_folder)
        yield Copy(here, load_definition(here.deployments, definition.pipeline.name), nights, files)
    finally:
        os.environ.pop(SOURCE, None)
        if find_server(here.postgres_folder) is not None:
            stop_server(here.postgres_folder)
        shutil.rmtree(folder, ignore_errors=True)


def _choose_nights(definition: Definition, settings: Settings) -> tuple[Interval, ...]:
    """The newest published nights; before there are enough, the first of the calendar."""
    pipeline, calendar = definition.pipeline, definition.pipeline.calendar
    with transaction(writer_engine(settings)) as connection:
        published = published_batches(connection, pipeline.name, BatchKind.INPUT)
    if len(published) >= NIGHTS:
        return tuple(calendar.containing(one.interval.start) for one in published[-NIGHTS:])
    nights = [calendar.first]
    while len(nights) < NIGHTS:
        nights.append(calendar.after(nights[-1]))
    return tuple(nights)


def _copy_folder(definition: Definition, settings: Settings, here: Settings, nights: tuple[Interval, ...]) -> tuple[Path, ...]:
    folder = here.deployments / definition.pipeline.name
    shutil.copytree(definition.folder, folder)
    document = read_yaml(folder / "pipeline.yaml")
    document.pop("schedule", None)
    document.pop("tell", None)
    document["runner"] = "inline"
    document["model"] = {**document.get("model", {}), "min_intervals": LEARNED, "holdout": "1 day", "promote": {}}
    files = _copy_source(definition, settings, here, nights, document["source"])
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return files


def _copy_source(
    definition: Definition, settings: Settings, here: Settings, nights: tuple[Interval, ...], source: dict[str, Any]
) -> tuple[Path, ...]:
    """Copies the nights' files and points `source` at them; a source that is no file of this machine stays what it is."""
    template = definition.pipeline.source.path
    if definition.pipeline.source.kind == "sql":
        os.environ[SOURCE] = on_server(definition.pipeline.source.url, server=writer_engine(settings).url)
        source["url"] = f"${{{SOURCE}}}" if source["url"].startswith("{postgres}") else source["url"]
        return ()
    if not template or "://" in template or "::" in template or "${" in template:
        return ()
    if not template.startswith("{data}"):
        source["path"] = "{data}/" + template.lstrip("/")
    zone = definition.pipeline.interval.timezone
    found: list[Path] = []
    for night in nights:
        local = Interval(night.start.astimezone(zone), night.end.astimezone(zone))
        pattern = Path(fill_in(template, interval=local, data=settings.data_folder)).absolute()
        found = sorted(Path("/").glob(str(pattern).lstrip("/")))
        if not found:
            label = definition.pipeline.calendar.label(night)
            raise UsageError(
                f"the source of {definition.pipeline.name} {label} is not there, so there is nothing to drill with",
                hint=f"overnight backfill {definition.pipeline.name}",
            )
        found = [_copy_file(path, settings, here, inside=template.startswith("{data}")) for path in found]
    return tuple(path for path in found if path.is_file())


def _copy_file(path: Path, settings: Settings, here: Settings, *, inside: bool) -> Path:
    relative = path.absolute().relative_to(settings.data_folder) if inside else Path(str(path.absolute()).lstrip("/"))
    target = here.data_folder / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(path, target)
    return target
