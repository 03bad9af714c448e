"""`plan` and `apply`: a backfill shown as data first, then done exactly as it was shown."""

import json
from pathlib import Path
from typing import Annotated

import typer

from cli.nights import (
    Direct,
    From,
    Json,
    ModelOption,
    ModeOption,
    Name,
    Parallel,
    Tell,
    To,
    backfill_nights,
    choose_range,
    known_mode,
    known_model,
    prepared,
    print_nights,
)
from cli.show import print_json, print_table, say, say_next
from cli.taking import telling_people
from domain.errors import UsageError
from domain.planning import Plan
from domain.words import counted
from infra.settings import load_settings


def add_commands(app: typer.Typer) -> None:
    app.command("plan")(plan)
    app.command("apply")(apply)


def plan(
    name: Name,
    start: From = None,
    end: To = None,
    mode: ModeOption = "missing",
    model: ModelOption = "as-due",
    as_json: Json = False,
) -> None:
    """Show which nights have a reason to be taken, what that will cost, and save it for `overnight apply`.

    Example: overnight plan flights --from 2013-01-01 --to 2013-02-04 --mode changed
    """
    from tasks.planning import make_plan

    definition, asked_for = prepared(name), known_mode(mode)
    nights = choose_range(definition, start, end, command="plan")
    made = make_plan(definition, nights[0], nights[-1], load_settings(), mode=asked_for, model=known_model(model))
    if as_json:
        print_json(made.to_json())
    elif made.nights:
        _print_plan(made)
        say(_cost(made))
    if not made.nights:
        say(f"nothing to do: no night from {made.first} to {made.last} is {mode if mode != 'all' else 'there'}")
        return
    say_next(f"overnight apply {_save(made)}")


def _print_plan(made: Plan) -> None:
    cells = {night: (f"{cost['rows']:,}", _minutes(cost["seconds"])) for night, cost in made.costs.items()}
    lines = [(night, *cells.get(night, ("", "")), why) for night, why in made.nights.items()]
    title = f"{made.pipeline}: {counted(len(made.nights), 'night')} to take"
    print_table(title, ["night", "rows", "minutes", "why"], lines, numbers=["rows", "minutes"])


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f}" if seconds >= 6 else "<0.1"


def _cost(made: Plan) -> str:
    if made.rows is None or made.seconds is None:
        return "no night was published before, so nobody can say how long this takes"
    takes = f"{made.seconds / 60:.1f} minutes" if made.seconds >= 90 else counted(round(made.seconds), "second")
    return f"about {made.rows:,} rows and {takes} one after the other, by the nights before"


def _save(made: Plan) -> Path:
    folder = load_settings().home / "plans"
    folder.mkdir(parents=True, exist_ok=True)
    model = "" if made.model == "as-due" else f"-{made.model}"
    path = folder / f"{made.pipeline}-{made.mode}{model}-{made.first}-{made.last}.json".replace(":", "")
    path.write_text(json.dumps(made.to_json(), indent=1), encoding="utf-8")
    return path


def apply(
    path: Annotated[Path, typer.Argument(help="What `overnight plan` saved.")],
    as_json: Json = False,
    direct: Direct = False,
    parallel: Parallel = 1,
    tell: Tell = False,
) -> None:
    """Take exactly the nights of a plan, or refuse and name what changed since it was made.

    Example: overnight apply .overnight/plans/flights-missing-2013-01-01-2013-02-04.json
    """
    from tasks.planning import check_plan

    try:
        made = Plan.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"no plan can be read ({why})", where=str(path), hint="overnight plan --help") from None
    with telling_people(made.pipeline, f"{made.first} to {made.last}", asked=tell):
        definition = prepared(made.pipeline)
        nights = check_plan(made, definition, load_settings())
        reports, code = backfill_nights(
            definition, nights, as_json=as_json, direct=direct, model=made.model, parallel=parallel, tell=tell, again="a new plan"
        )
    if not nights:
        say("nothing to do: the plan names no night")
    elif not as_json:
        print_nights(definition, reports)
    raise typer.Exit(code)
