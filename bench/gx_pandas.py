"""Judging a night, against plain Great Expectations on a pandas frame of the same rows and the same suite, in one run.

`ratio` is CPU seconds of ours / theirs, the database's included: lower is better. Theirs has its rows in memory, typed; ours
reads them from Postgres. Both are the same version of Great Expectations. `python -m bench.gx_pandas [small|full]` measures
alone.
"""

import json
import sys
from pathlib import Path
from typing import Any

import psycopg2
import yaml

from bench.clock import beside, in_turn
from bench.rivals import run_rival
from bench.validate import ROWS, SUITE, Loaded, cost, loaded
from infra.postgres import ensure_database


def validate_vs_gx_pandas(size: str = "small") -> dict[str, dict[str, Any]]:
    with loaded(ROWS[size]) as there:
        rows, suite = there.settings.home / "rows.csv", there.settings.home / "suite.json"
        _export(there, rows)
        suite.write_text(json.dumps(yaml.safe_load(SUITE)))
        theirs = lambda: run_rival("gx_on_pandas", str(rows), str(suite), python=sys.executable)  # noqa: E731
        sides = {"ours": lambda: cost(there.judge), "other": theirs}
        found = in_turn(sides, server=there.server)
    ours, other = found["ours"], found["other"]
    return {
        "validate_vs_gx_pandas": {
            "ratio": round(ours["cpu_seconds"] / other["cpu_seconds"], 3), "ours": round(ours["cpu_seconds"], 2),
            "other": round(other["cpu_seconds"], 2), "rows": there.batch.rows, **beside(ours, other),
        }
    }  # fmt: skip


def _export(there: Loaded, path: Path) -> None:
    url = ensure_database(there.settings)
    with psycopg2.connect(url) as connection, connection.cursor() as cursor, path.open("wb") as file:
        cursor.copy_expert(f"COPY {there.batch.schema}.{there.batch.table} TO STDOUT (FORMAT csv, HEADER)", file)


if __name__ == "__main__":
    print(json.dumps(validate_vs_gx_pandas(sys.argv[1] if len(sys.argv) > 1 else "small"), indent=2))
