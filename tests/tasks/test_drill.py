"""The drill breaks a copy and says what held; and what does not hold, it finds."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.errors import EXIT_DONE
from infra.prefect_home import settings_environment
from infra.settings import Settings
from store.runs import claim
from tasks.drill.guarantees import check_guarantees, content_of
from tasks.night import take_night

Write = Callable[..., Path]


@pytest.mark.slow(35)  # two dozen nights, most of them killed
def test_every_guarantee_holds_on_a_copy_and_the_real_pipeline_is_left_alone(
    settings: Settings, shops: Definition, write_day: Write, writer: sa.Engine
) -> None:
    for day in range(1, 6):
        write_day(f"2024-01-0{day}")
    copies = Path(tempfile.gettempdir()).glob
    others = set(copies("overnight-drill-shops-*"))
    line = [sys.executable, "-c", "from cli.main import main; main()", "drill", "shops", "--short", "--json"]
    environment = os.environ | settings_environment(settings)
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False, timeout=880)
    assert done.returncode == EXIT_DONE, done.stdout + done.stderr
    scenarios = {one["scenario"]: one for one in json.loads(done.stdout.splitlines()[-1])["scenarios"]}
    assert len(scenarios) == 7
    for name, found in scenarios.items():
        assert found["skipped"] or set(found["guarantees"].values()) == {"held"}, (name, found)
    assert scenarios["killed at each stage boundary"]["did"] == "12 SIGKILLs"
    assert not scenarios["killed at random instants"]["skipped"]
    with writer.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM overnight.run")) == 0
    assert set(copies("overnight-drill-shops-*")) <= others


def test_what_does_not_hold_is_found(
    settings: Settings, shops: Definition, write_day: Write, owner: sa.Engine, writer: sa.Engine
) -> None:
    write_day("2024-01-01")
    take_night(shops, shops.pipeline.calendar.named("2024-01-01"), settings, trigger="test")
    quiet = content_of(settings, "shops")
    assert set(check_guarantees(settings, "shops", quiet=quiet).values()) == {""}
    with owner.begin() as connection:
        connection.execute(sa.text("CREATE TABLE overnight_shops.landed_99 ()"))
        connection.execute(sa.text("DELETE FROM overnight_shops.landed_1 WHERE shop = 's001'"))
    with claim(writer, "shops", shops.pipeline.calendar.named("2024-01-02"), trigger="test", holder={}):
        broke = check_guarantees(settings, "shops", quiet=[])
    assert broke["clean"] == "left over: landed_99"
    assert broke["counts"] == "batch 1: 59 rows landed, the ledger says 60"
    assert broke["free"] == "1 runs are still open"
    assert broke["again"]
    with owner.begin() as connection:
        connection.execute(sa.text("UPDATE overnight.run SET state = 'failed', reason = 'unexpected KeyError', ended_at = now() "
                                   "WHERE state = 'running'"))  # fmt: skip
    assert "unexpected KeyError" in check_guarantees(settings, "shops", quiet=quiet)["told"]
