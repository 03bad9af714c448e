"""A batch can be made again from what the ledger recorded, or it is said exactly what is not as it was."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from nightshift import Nightshift

from deployments.catalogue import Definition
from domain.errors import EXIT_DONE, EXIT_FAILED, EXIT_SOURCE, EnvironmentRefused, Pruned, SourceError, UsageError
from infra.settings import Settings
from store.engine import parse_url
from tasks.night import take_night
from tasks.reproduce import reproduce

DAY = "2024-01-05"


def superuser(database: str, statement: str) -> None:
    """What nobody else may do: write past the guards."""
    with sa.create_engine(parse_url(database), poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        connection.execute(sa.text(statement))


def spoiled(lines: list[str]) -> list[str]:
    """One cell that is no number, and one row that a rule sets aside."""
    cells = [line.split(",") for line in lines]
    cells[3][3], cells[7][3] = "many", "5000"
    return [",".join(line) for line in cells]


def test_an_input_batch_is_read_judged_and_set_aside_again(
    shops: Definition, settings: Settings, write_day: Callable[..., Path], owner: sa.Engine
) -> None:
    path = write_day(DAY, change=spoiled)
    report = take_night(shops, shops.pipeline.calendar.named(DAY), settings, trigger="test")
    assert (report.rows_landed, report.rows_rejected) == (58, 2)
    everything = sa.text("SELECT (SELECT count(*) FROM overnight.batch), (SELECT count(*) FROM pg_class "
                         "WHERE relpersistence <> 't'), (SELECT max(id) FROM overnight.verdict)")  # fmt: skip
    with owner.connect() as connection:
        before = connection.execute(everything).one()
        done = reproduce(settings, 1)
        connection.rollback()
        assert connection.execute(everything).one() == before, "it leaves nothing behind"
    assert (done.same, done.differences, done.exit_code) == (True, (), EXIT_DONE)
    expectations = settings.deployments / "shops" / "expectations.yaml"
    kept = expectations.read_text()
    expectations.write_text(kept.replace("max_value: 1000", "max_value: 9000"))
    done = reproduce(settings, 1)
    assert (done.same, done.differences, done.exit_code) == (False, ("the suite changed: expectations.yaml",), EXIT_FAILED)
    expectations.write_text(kept)
    path.write_text(path.read_text().replace(",north,", ",south,", 1))
    done = reproduce(settings, 1)
    assert (done.same, done.exit_code) == (False, EXIT_SOURCE)
    assert "holds other bytes: sha256" in done.differences[0]
    path.unlink()
    with pytest.raises(SourceError, match="shops 2024-01-05: batch 1 cannot be made again, for its source is gone"):
        reproduce(settings, 1)


def test_predictions_come_out_of_the_recorded_model_again(
    shops: Definition, settings: Settings, writer: sa.Engine, owner: sa.Engine, database: str
) -> None:
    nights = Nightshift(settings, writer, owner)
    nights.take_all("2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04")
    (batch, landed), *_ = nights.query("SELECT id, input_batch FROM overnight.batch WHERE kind = 'prediction' ORDER BY id DESC")
    done = reproduce(settings, batch)
    assert (done.same, done.differences, done.batch.rows) == (True, (), 120)
    superuser(database, f"UPDATE overnight_shops.predictions_{batch} SET probability = 0.5 WHERE shop = 's0001'")
    assert reproduce(settings, batch).same, "the ledger's hash counts, and what it was made from; not what is in the table now"
    superuser(database, f"UPDATE overnight.batch SET content_hash = 'another' WHERE id = {batch}")
    done = reproduce(settings, batch)
    assert (done.same, done.exit_code, len(done.found)) == (False, EXIT_FAILED, 32)
    recorded: dict[str, Any] = nights.query("SELECT libraries FROM overnight.model")[0].libraries
    superuser(database, f"UPDATE overnight.model SET libraries = '{json.dumps({**recorded, 'pandas': '1.0'})}'")
    assert any(said.startswith("the model was fitted under pandas 1.0") for said in reproduce(settings, batch).differences)
    superuser(database, f"UPDATE overnight.model SET libraries = '{json.dumps({**recorded, 'scikit-learn': '0.1'})}'")
    with pytest.raises(EnvironmentRefused, match=r"fitted under scikit-learn 0\.1"):
        reproduce(settings, batch)
    superuser(database, f"UPDATE overnight.batch SET state = 'dropped' WHERE id = {landed}")
    gone = f"({landed}, 'rows', 1, 1, 'ada', 'old')"
    superuser(database, f"INSERT INTO overnight.pruning (batch, part, rows, bytes, who, why) VALUES {gone}")
    with pytest.raises(Pruned, match=f"its input, batch {landed}, was pruned on .*, by ada: old"):
        reproduce(settings, batch)
    with pytest.raises(UsageError, match="knows no batch 4711"):
        reproduce(settings, 4711)
