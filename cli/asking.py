"""Commands that ask another process: `trigger` for a night, `cancel` for its end."""

from logging import WARNING
from typing import Annotated

import typer

from cli.nights import Json, Name, choose_interval, prepared
from cli.show import print_json, say
from domain.errors import EXIT_DONE, EXIT_FAILED, EXIT_HELD, UsageError
from infra.settings import load_settings


def add_commands(app: typer.Typer) -> None:
    app.command("trigger")(trigger)
    app.command("cancel")(cancel)


def trigger(
    name: Name,
    interval: Annotated[str | None, typer.Option(help="The night; none: the newest that is over.")] = None,
    as_json: Json = False,
) -> None:
    """Start a run on Prefect's worker, and follow it to its end.

    Example: overnight trigger flights --interval 2013-02-05
    """
    from infra.prefect_api import FlowRun, PrefectApi, find_server

    definition = prepared(name)
    label = definition.pipeline.calendar.label(choose_interval(definition, interval))
    url = find_server(load_settings())
    if url is None:
        hint = f"overnight up; or overnight run {name} --interval {label}, which needs none"
        raise UsageError("no Prefect server is running that could start it", hint=hint)
    with PrefectApi(url) as api:
        flow_run = api.create_run(name, interval=label)
        say(f"asked Prefect for {name} {label}: {flow_run.url}")
        for event in api.follow(flow_run.id):
            if isinstance(event, FlowRun):
                flow_run = event
                say(f"  {event.state_name.lower()}{f': {event.message}' if event.message else ''}")
            elif event.text.startswith(f"{name} ") or (event.level >= WARNING and not event.repeats_the_state):
                say(f"  {event.text}")
    if as_json:
        print_json({"pipeline": name, "interval": label, "flow_run": flow_run.id, "state": flow_run.state_name,
                    "reason": flow_run.message})  # fmt: skip
    raise typer.Exit(_exit_code_of(flow_run.state, flow_run.state_name))


def cancel(name: Name, as_json: Json = False) -> None:
    """Stop what is under way for a pipeline: each night closes its run, and a backfill begins no other.

    Example: overnight cancel flights
    """
    from tasks.cancelling import cancel_nights

    definition = prepared(name)
    done = cancel_nights(definition, load_settings())
    if as_json:
        print_json({"pipeline": name, "cancelled": done})
    for sentence in [] if as_json else done or [f"nothing is under way for {name}"]:
        say(sentence)


def _exit_code_of(state: str, state_name: str) -> int:
    """Prefect says held as a completed run of that name; it does not keep a failure's own code."""
    if state != "COMPLETED":
        return EXIT_FAILED
    return EXIT_HELD if state_name == "Held" else EXIT_DONE
