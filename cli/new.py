"""`overnight new`: from a table to a pipeline's folder that runs as it is."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.markup import escape

from cli.nights import Json
from cli.show import err, out, print_json, print_pairs, say, say_next
from domain.errors import UsageError
from domain.interval import Interval
from domain.spec.values import NAME, RESERVED
from infra.settings import Settings, load_settings

if TYPE_CHECKING:
    from tasks.onboarding.propose import Asked, Proposal
    from tasks.onboarding.table import Seen, Table

_STYLES = {"leak": "yellow", "leak?": "yellow", "look at": "yellow"}


def add_commands(app: typer.Typer) -> None:
    app.command("new")(new)


def new(
    name: Annotated[str, typer.Argument(help="The pipeline's name: lower-case letters, digits and _.")],
    source: Annotated[str, typer.Option("--from", help="A file, a glob, a URL, or a database's URL.")],
    target: Annotated[str | None, typer.Option(help="The column to predict; none: asked, or proposed with --yes.")] = None,
    key: Annotated[
        str | None, typer.Option(help="The column that names a row, or several with commas between; none: found.")
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="The column that says when a row happened; cuts a database's table by night.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="classification or regression; none: found.")] = None,
    table: Annotated[str | None, typer.Option(help="Of a database: the table.")] = None,
    query: Annotated[str | None, typer.Option(help="Of a database: a SELECT instead of a table.")] = None,
    timezone: Annotated[str, typer.Option(help="Where midnight is, as an IANA name.")] = "UTC",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take every proposal without asking.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a folder of that name.")] = False,
    as_json: Json = False,
) -> None:
    """Look at a table and write the pipeline that takes it every night: contract, rules, features, model.

    Nothing of the data leaves this machine.

    Example: overnight new churn --from customers.csv --target churned --yes
    """
    check_name(name)
    settings, zone = load_settings(), zone_of(timezone)
    if (settings.deployments / name / "pipeline.yaml").exists() and not force:
        raise UsageError(
            f"there is a pipeline {name} already, in {settings.deployments / name}",
            hint=f"another name, or overnight new {name} … --force",
        )
    from tasks.onboarding.propose import Asked
    from tasks.onboarding.write import write_pipeline

    keys = tuple(part.strip() for part in key.split(",") if part.strip()) if key else ()
    with err.status(f"reading {escape(source)}"):
        proposal = _proposed(
            Asked(name, target, keys, time, task), source, settings, zone=zone, table=table, query=query, yes=yes
        )
    folder = write_pipeline(proposal, settings.deployments, timezone=timezone, force=force)
    _tell(proposal, folder, as_json=as_json)


def check_name(name: str) -> None:
    if NAME.match(name) and name not in RESERVED and not name.startswith(("pg_", "overnight_")):
        return
    from tasks.onboarding.names import name_pipeline

    near = name_pipeline(name)
    near = near if near not in RESERVED and not near.startswith(("pg_", "overnight_")) else f"my_{near}"[:40]
    raise UsageError(
        f"{name!r} is no pipeline name: lower-case letters, digits and _, a letter first, at most 40, and no name that the "
        "database keeps for itself",
        hint=f"overnight new {near} --from …",
    )


def zone_of(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"--timezone: {name!r} is no time zone", hint="--timezone Europe/Berlin") from None


def _proposed(
    asked: "Asked", source: str, settings: Settings, *, zone: ZoneInfo, table: str | None, query: str | None, yes: bool
) -> "Proposal":
    from tasks.onboarding.look import look_at_source
    from tasks.onboarding.place import find_place
    from tasks.onboarding.propose import propose
    from tasks.onboarding.table import read_table

    today = datetime.now(UTC).astimezone(zone).date()
    midnight = datetime.combine(today, datetime.min.time(), zone)
    night = Interval(midnight - timedelta(days=1), midnight)
    place = find_place(source, name=asked.name, data=settings.data_folder, table=table, query=query)
    seen = read_table(look_at_source(place, data=settings.data_folder, interval=night))
    guess = None if asked.target or yes else _ask_target(seen)
    return propose(seen, place, asked, today=today, guess=guess)


def _ask_target(table: "Table") -> "Seen":
    """Asks on a terminal which column to predict; raises UsageError where nobody can answer."""
    from tasks.onboarding.target import propose_target

    column, why = propose_target(table)
    if not sys.stdin.isatty():
        raise UsageError(
            f"which column is to be predicted? {column.spelled!r} looks like it: {why}",
            hint="--target COLUMN, or --yes to take the proposal",
        )
    say(f"columns: {', '.join(one.spelled for one in table.columns)}")
    while True:
        found = table.find(typer.prompt(f"Which column is to be predicted? ({why})", default=column.spelled, err=True))
        if found is not None:
            return found
        say("there is no such column")


def _tell(proposal: "Proposal", folder: Path, *, as_json: bool) -> None:
    from tasks.onboarding.report import next_commands, sentences, to_json

    if as_json:
        print_json(to_json(proposal, str(folder)))
        return
    print_pairs(
        [(f"[bold {_STYLES.get(heading, '')}]{heading}[/]", escape(sentence)) for heading, sentence in sentences(proposal)]
    )
    out.print(f"\nwrote {folder}/pipeline.yaml and expectations.yaml\nnothing of the data left this machine", soft_wrap=True)
    say_next(*next_commands(proposal))
