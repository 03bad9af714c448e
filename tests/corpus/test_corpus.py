"""Every file of the corpus does what is said of it: it loads these rows, or it is refused with this sentence. None loads
something else, none ends in a traceback, none leaves a table behind."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from deployments.catalogue import Definition
from domain.errors import SourceError
from domain.pipeline import Pipeline
from domain.report import StageReport
from infra.postgres import Postmaster, embedded_url
from infra.settings import Settings
from store.engine import create_engine
from store.pipelines import register
from store.runs import claim
from tasks.context import Night
from tasks.ingest import ingest
from tests.corpus import bytes as packed
from tests.corpus import shapes, types
from tests.corpus.case import Case

ALL = [*shapes.CASES, *types.CASES, *packed.CASES]


class Corpus:
    """One database for all cases; each case is a pipeline of its own."""

    def __init__(self, url: Callable[[str], str], home: Path) -> None:
        self.owner, self.writer = (
            create_engine(url("postgres"), role="owner"),
            create_engine(url("overnight_writer"), role="writer"),
        )
        self.admin = url("postgres")
        self.settings = Settings(home=home, deployments=home / "deployments", data=home / "data", database_url=self.admin)
        self._count = 0

    def take(self, case: Case) -> tuple[str, StageReport]:
        self._count += 1
        name = f"case_{self._count}"
        folder = self.settings.data_folder / name
        folder.mkdir(parents=True)
        (folder / case.file).write_bytes(case.content)
        pipeline = Pipeline.model_validate(
            {
                "name": name, "title": case.name, "interval": {"every": "day", "timezone": "Europe/Berlin", "from": "2024-01-01"},
                "source": {"kind": "csv", "path": "{data}/" + f"{name}/{case.file}", **case.source},
                "columns": case.contract(), "new_columns": case.new_columns, "rejects": {"at_most": 1.0},
                "target": {"column": list(case.contract())[-1], "task": "classification"}, "features": {},
            }
        )  # fmt: skip
        register(self.owner, pipeline, expectations=[])
        interval = pipeline.calendar.named("2024-01-02")
        with claim(self.writer, name, interval, trigger="test", holder={}) as run:
            return name, ingest(Night(run, Definition(pipeline, folder, ()), self.writer, self.settings))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg2.connect(self.admin) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    def tables_of_batches(self) -> int:
        [(count,)] = self.rows(
            "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
            f"WHERE nspname = 'overnight_case_{self._count}' AND relkind = 'r'"
        )
        return int(count)


@pytest.fixture(scope="module")
def corpus(server: Postmaster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    admin = psycopg2.connect(embedded_url(server, database="postgres"))
    admin.autocommit = True
    admin.cursor().execute("CREATE DATABASE corpus TEMPLATE template_overnight")
    admin.cursor().execute("GRANT CREATE ON DATABASE corpus TO overnight_owner")
    found = Corpus(lambda user: embedded_url(server, user=user, database="corpus"), tmp_path_factory.mktemp("corpus"))
    yield found
    found.owner.dispose()
    found.writer.dispose()
    admin.cursor().execute("DROP DATABASE corpus WITH (FORCE)")
    admin.close()


def test_the_corpus_has_more_than_eighty_files_each_of_its_own_name() -> None:
    assert len({case.name for case in ALL}) == len(ALL) > 80


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name.replace(" ", "-"))
def test_each_file_does_what_is_said_of_it(corpus: Corpus, case: Case) -> None:
    if case.refused:
        with pytest.raises(SourceError) as refused:
            corpus.take(case)
        assert case.refused in str(refused.value)
        assert "\n" not in str(refused.value)
        assert corpus.tables_of_batches() == 0
        return
    name, report = corpus.take(case)
    batch, columns = report.detail["batch"], ", ".join(case.contract())
    landed = corpus.rows(f"SELECT {columns} FROM overnight_{name}.landed_{batch} ORDER BY 1, 2" if "," in columns else
                         f"SELECT {columns} FROM overnight_{name}.landed_{batch} ORDER BY 1")  # fmt: skip
    rejected = corpus.rows(f"SELECT line, rule, reason FROM overnight_{name}.rejected_{batch} ORDER BY line")
    assert [(line, rule) for line, rule, _ in rejected] == case.rejects, rejected
    assert len(landed) == case.rows if isinstance(case.rows, int) else landed == case.rows
    assert (report.rows_in, report.rows_out, report.rows_rejected) == (len(landed) + len(rejected), len(landed), len(rejected))
