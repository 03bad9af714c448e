"""`export`: what readers see, as a file."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.nights import Json, Name, waiting
from cli.show import print_json, say
from domain.errors import UsageError
from domain.pruning import size_words
from infra.settings import load_settings


def add_commands(app: typer.Typer) -> None:
    app.command("export")(export)


def export(
    name: Name,
    to: Annotated[Path, typer.Option("--to", help="The file: its end says what to write, .csv, .parquet or .ndjson.")],
    night: Annotated[str | None, typer.Argument(help="The night; none: the newest that readers see.")] = None,
    as_of: Annotated[
        str | None, typer.Option(help="As readers saw it at this moment of the pipeline's time zone, such as 2013-02-05T08:00.")
    ] = None,
    columns: Annotated[str, typer.Option(help="These columns alone, commas between them.")] = "",
    trust: Annotated[bool, typer.Option("--trust", help="Begin a CSV with the trust line, as a comment.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Replace a file that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Write what readers see of a night into a file, of any size, in flat memory. A Parquet file carries its trust line.

    Example: overnight export flights 2013-02-01 --to flights.parquet
    """
    from tasks.export import export as write
    from tasks.prepare import prepare

    settings = load_settings()
    if to.exists() and not yes:
        raise UsageError(f"{to} is there already", hint="another name, or --yes to replace it")
    moment = _moment(as_of) if as_of else None
    prepare(settings)
    with waiting(f"{name} to {to}"):
        done = write(
            settings, name, to, night=night, as_of=moment, now=datetime.now(UTC),
            columns=[column for column in columns.split(",") if column], comment=trust,
        )  # fmt: skip
    if as_json:
        print_json({"file": str(done.path), "rows": done.rows, "bytes": done.bytes, "trust": done.trust.to_json()})
        return
    say(f"{done.rows:,} rows, {size_words(done.bytes)}, in {done.path}: {done.words}")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if not 1970 <= moment.year <= 9000:
            raise ValueError
    except ValueError:
        raise UsageError(f"--as-of: {text!r} is no moment", hint="--as-of 2013-02-05T08:00") from None
    return moment
