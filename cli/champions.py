"""Commands about champions: `promote` and `rollback`. Each leaves a line in the promotion journal."""

import getpass
from typing import Annotated

import typer

from cli.nights import Json, Name, backfill_nights, choose_interval, prepared, print_nights
from cli.show import print_json, say
from deployments.catalogue import Definition
from domain.words import counted
from infra.settings import load_settings
from tasks.champions import Moved

Why = Annotated[str, typer.Option(help="The reason, for the journal.")]
Rescore = Annotated[bool, typer.Option("--rescore", help="Also score the published nights that this changes again.")]


def add_commands(app: typer.Typer) -> None:
    app.command("promote")(promote)
    app.command("rollback")(rollback)


def promote(
    name: Name,
    version: Annotated[int, typer.Argument(help="The model version.")],
    why: Why,
    from_night: Annotated[str | None, typer.Option("--from", help="The first night it holds for; none: the next.")] = None,
    rescore: Rescore = False,
    as_json: Json = False,
) -> None:
    """Make a model version champion, from one night on.

    Example: overnight promote flights 3 --why "version 4 ignores holidays"
    """
    from tasks.champions import promote as move
    from tasks.context import writer_engine

    definition = prepared(name)
    night = choose_interval(definition, from_night) if from_night else None
    engine = writer_engine(load_settings())
    moved = move(engine, definition.pipeline, version, who=getpass.getuser(), why=why, night=night)
    _tell(definition, moved, rescore=rescore, as_json=as_json)


def rollback(name: Name, why: Why, rescore: Rescore = False, as_json: Json = False) -> None:
    """Make the champion before this one champion again, from the night on from which this one was.

    Example: overnight rollback flights --why "bad nights since Friday" --rescore
    """
    from tasks.champions import rollback as move
    from tasks.context import writer_engine

    definition = prepared(name)
    moved = move(writer_engine(load_settings()), definition.pipeline, who=getpass.getuser(), why=why)
    _tell(definition, moved, rescore=rescore, as_json=as_json)


def _tell(definition: Definition, moved: Moved, *, rescore: bool, as_json: bool) -> None:
    calendar, name = definition.pipeline.calendar, definition.pipeline.name
    since = calendar.label(calendar.containing(moved.holds_from))
    nights = [calendar.label(night) for night in moved.to_rescore]
    before = moved.previous.version if moved.previous else None
    if as_json:
        print_json({"pipeline": name, "champion": moved.champion.version, "before": before, "from": since, "to_rescore": nights})
    else:
        say(f"version {moved.champion.version} of {name} is champion from {since} on, before it {before or 'none'}")
    if rescore and nights:
        reports, code = backfill_nights(definition, list(moved.to_rescore), as_json=as_json, direct=True)
        if not as_json:
            print_nights(definition, reports)
        raise typer.Exit(code)
    if nights:
        still = f"{counted(len(nights), 'published night')} still show{'s' if len(nights) == 1 else ''} the other champion"
        say(f"{still}; next: overnight backfill {name} --from {nights[0]} --to {nights[-1]}")
