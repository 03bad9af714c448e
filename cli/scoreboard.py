"""`scoreboard`: champion, challengers and dummy, night by night, as their answers came."""

from datetime import datetime
from typing import Annotated, Any

import typer

from cli.listing import known_pipeline, reading_ledger
from cli.nights import Json, Name
from cli.show import print_json, print_table
from domain.words import counted
from store import listing


def add_commands(app: typer.Typer) -> None:
    app.command("scoreboard")(scoreboard)


def scoreboard(
    name: Name,
    metric: Annotated[str | None, typer.Option("--metric", help="Another one than the pipeline's own.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many lines, the newest.")] = 60,
    as_json: Json = False,
) -> None:
    """What champion, challengers and dummy were worth each night; a figure before its answers are there is an estimate.

    Example: overnight scoreboard flights --metric accuracy
    """
    with reading_ledger() as ledger:
        pipeline = known_pipeline(ledger, name)
        chosen = metric or pipeline.model.metric
        lines = listing.list_scoreboard(ledger, pipeline=name, metric=chosen)[-limit:]
    if as_json:
        for line in lines:
            print_json(line)
        return

    def label(start: datetime) -> str:
        return pipeline.calendar.label(pipeline.calendar.containing(start))

    print_table(
        f"{name}: {chosen}, {counted(len(lines), 'line')}",
        ["night", "who", "version", chosen, "dummy", "rows", ""],
        [
            (
                label(line["interval_start"]), line["role"], line["model_version"], _figure(line["value"]),
                _figure(line["dummy"]), line["rows"], _remark(line),
            )
            for line in lines
        ],
        numbers=["version", chosen, "dummy", "rows"],
    )  # fmt: skip


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _remark(line: dict[str, Any]) -> str:
    """That a figure was restated, or what it was, or is, estimated at."""
    said = []
    if line["restated"]:
        said.append(f"restated, first {line['first_value']:.4f}")
    if line["estimate"] is not None:
        spoken = "estimated" if line["value"] is None else "was estimated at"
        said.append(f"{spoken} {line['estimate']:.4f} ({line['estimate_low']:.4f} to {line['estimate_high']:.4f})")
    return "; ".join(said)
