"""`drill`: what can go wrong is done to a copy of a pipeline, and what held is shown."""

from typing import Annotated

import typer

from cli.nights import Json, Name, prepared, waiting
from cli.show import print_json, print_table, say
from domain.errors import EXIT_DONE, EXIT_FAILED, StageFailed
from infra.settings import load_settings


def add_commands(app: typer.Typer) -> None:
    app.command("drill")(drill)


def drill(
    name: Name,
    kills: Annotated[int, typer.Option(min=1, help="How many kills at random instants.")] = 20,
    short: Annotated[bool, typer.Option("--short", help="A minute: as many scenarios, and three random kills.")] = False,
    seed: Annotated[int, typer.Option(help="The same number gives the same random instants.")] = 1,
    as_json: Json = False,
) -> None:
    """Kill, cut off, fill and corrupt a copy of a pipeline while a reader asks, and show which guarantee held.

    The copy has a folder, a Postgres and source files of its own; the real pipeline is only read, and the copy is gone
    afterwards. Exit code 1 when a guarantee broke.

    Example: overnight drill flights --short
    """
    from tasks.drill.copy import copied
    from tasks.drill.guarantees import GUARANTEES
    from tasks.drill.scenarios import Drill, Finding, Hand

    definition = prepared(name)
    findings: list[Finding] = []
    with waiting(f"drilling a copy of {name}"), copied(definition, load_settings()) as copy:
        hand = Hand(copy)
        try:
            at_work = Drill(copy, hand, kills=3 if short else kills, seed=seed)
            quiet = at_work.prepare()
            if quiet.get("exit_code") != 0:
                why = quiet.get("error") or quiet.get("report", {}).get("reason") or "its process died"
                raise StageFailed(
                    f"a quiet night of the copy did not end well ({why})", where=name, hint=f"overnight check {name}"
                )
            for found in at_work.run():
                findings.append(found)
                if not as_json:
                    say(f"{found.scenario}: {f'skipped, {found.skipped}' if found.skipped else found.did}")
        finally:
            hand.close()
    if as_json:
        print_json({"pipeline": name, "guarantees": dict(GUARANTEES), "scenarios": [found.to_json() for found in findings]})
    else:
        _print(name, findings)
    raise typer.Exit(EXIT_FAILED if any(found.broke for found in findings) else EXIT_DONE)


def _print(name: str, findings: list) -> None:  # type: ignore[type-arg]  # tasks.drill is imported when it is needed
    from tasks.drill.guarantees import GUARANTEES

    styles = {"held": "[green]held[/]", "broke": "[red]broke[/]", "skipped": "[dim]-[/]"}
    print_table(
        f"{name}: what held",
        ["scenario", *GUARANTEES, "reader asked"],
        [(f.scenario, *(styles[state] for state in f.to_json()["guarantees"].values()), f"{f.polls:,}") for f in findings],
        numbers=["reader asked"],
    )
    for meaning in GUARANTEES.items():
        say("{}: {}".format(*meaning))
    for found in findings:
        for guarantee, why in found.broke.items():
            say(f"BROKE {found.scenario}, {guarantee}: {why}")
