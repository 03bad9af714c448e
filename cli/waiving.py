"""`waive`: leave nights out on purpose, with a reason."""

import getpass
from typing import Annotated

import typer

from cli.champions import Why
from cli.judging import Night
from cli.nights import Json, Name, choose_interval, prepared
from cli.show import print_json, say
from domain.errors import UsageError
from infra.settings import load_settings


def add_commands(app: typer.Typer) -> None:
    app.command("waive")(waive)


def waive(
    name: Name,
    night: Night,
    why: Why,
    end: Annotated[str | None, typer.Option("--to", help="The last night, included; none: this one alone.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take it back: the nights are missing again.")] = False,
    as_json: Json = False,
) -> None:
    """Leave a night out: it is no gap any more, and only `run` and a plan of --mode all still take it.

    Example: overnight waive flights 2013-02-01 --why "the airport was closed"
    """
    from tasks.waiving import unwaive
    from tasks.waiving import waive as leave_out

    definition = prepared(name)
    first = choose_interval(definition, night)
    last = choose_interval(definition, end) if end else first
    if first > last:
        raise UsageError(f"{night} lies after --to {end}", hint="overnight waive --help")
    nights = list(definition.pipeline.calendar.between(first, last))
    speak = unwaive if undo else leave_out
    found = speak(definition, nights, load_settings(), who=getpass.getuser(), why=why)
    meant = [definition.pipeline.calendar.label(one) for one in found]
    if as_json:
        print_json({"pipeline": name, "nights": meant, "waived": not undo, "why": why})
        return
    which = meant[0] if len(meant) == 1 else f"{meant[0]} to {meant[-1]} ({len(meant)} nights)"
    then = f"overnight plan {name} --from {meant[0]} --to {meant[-1]}" if undo else f"overnight run {name} --interval {meant[0]}"
    say(f"{name} {which}: {'missing again' if undo else 'waived'}, {why}; {'next' if undo else 'it is still taken by'}: {then}")
