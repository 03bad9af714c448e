"""`python -m bench.strangers [NAME …]`: every table by the commands a stranger types, against the baseline that anyone gets.

Prints a table, writes strangers.json, and ends with 1 when any stranger had something to complain of.
"""

import argparse
import json
import sys
import tempfile
from math import isnan
from pathlib import Path
from typing import Any

from bench.strangers.baseline import METRICS, Figure, measure_baseline
from bench.strangers.tables import TABLES, bring
from bench.strangers.trial import Trial, try_table
from cli.show import out, print_table, say
from infra.postgres import stop_server
from infra.settings import Settings, load_settings

RESULTS = Path(__file__).parents[1] / "strangers.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.strangers", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="NAME", help=f"of {', '.join(TABLES)}; none: all")
    names = parser.parse_args().only or list(TABLES)
    load_settings()  # threads that wait sleep, or the baseline takes all cores from what it is compared with
    with tempfile.TemporaryDirectory(prefix="ov") as folder:
        settings = Settings(home=Path(folder) / "home", deployments=Path(folder) / "deployments")
        try:
            found = {name: _measure(name, Path(folder) / "tables", settings) for name in names}
        finally:
            stop_server(settings.postgres_folder)
    _print(found)
    if len(found) == len(TABLES):
        RESULTS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return 1 if any(one["wrong"] for one in found.values()) else 0


def _measure(name: str, folder: Path, settings: Settings) -> dict[str, Any]:
    brought = bring(name, folder / name)
    trial, usual = try_table(name, brought, settings), measure_baseline(brought)
    wrong = [*trial.wrong, *_compared(trial, usual)]
    say(f"{name}: ours {trial.ours:.4f}, baseline {usual.mean:.4f} ± {usual.deviation:.4f}, {trial.seconds:.0f} s")
    for each in wrong:
        say(f"  {each}")
    return {
        "rows": brought.rows, "task": brought.task, "metric": METRICS[brought.task], "ours": round(trial.ours, 4),
        "baseline": round(usual.mean, 4), "deviation": round(usual.deviation, 4), "dummy": round(usual.dummy, 4),
        "leaks": [leak["column"] for leak in trial.told.get("leaks", []) if leak["out"]],
        "seconds": round(trial.seconds, 1), "wrong": wrong,
    }  # fmt: skip


def _compared(trial: Trial, usual: Figure) -> list[str]:
    if isnan(trial.ours):
        return []
    found = []
    if trial.ours < usual.mean - usual.deviation:
        found.append(f"{trial.ours:.4f} is below the baseline's {usual.mean:.4f} less {usual.deviation:.4f}")
    if trial.ours < usual.dummy:
        found.append(f"{trial.ours:.4f} is below the dummy's {usual.dummy:.4f}")
    return found


def _print(found: dict[str, dict[str, Any]]) -> None:
    rows = [
        (name, f"{one['rows']:,}", one["task"], one["metric"], one["ours"], f"{one['baseline']:.4f} ± {one['deviation']:.4f}",
         one["seconds"], "; ".join(one["wrong"]))
        for name, one in found.items()
    ]  # fmt: skip
    out.print()
    headings = ["table", "rows", "task", "by", "ours", "baseline", "s", "wrong"]
    print_table("Tables that strangers bring", headings, rows, numbers=["rows", "ours", "baseline", "s"])


if __name__ == "__main__":
    sys.exit(main())
