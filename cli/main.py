"""The entry point: the commands, and the one place where an error becomes a sentence and an exit code."""

import atexit
import gc
import importlib.metadata
import logging
import os
import sys
from typing import Annotated

import typer

from cli import (
    adopt,
    asking,
    champions,
    drill,
    explain,
    export,
    export_model,
    house,
    image,
    judging,
    keeping,
    listing,
    mcp,
    new,
    nights,
    plans,
    reproduce,
    schema,
    scoreboard,
    tokens,
    waiving,
    worker,
)
from cli.show import say
from domain.errors import EXIT_FAILED, OvernightError

STOPPED = 130  # as shells say it of what Ctrl-C has ended
app = typer.Typer(
    name="overnight",
    help="Every night, from a table to predictions that everyone can read and trust.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for module in (
    house,
    new,
    adopt,
    nights,
    asking,
    plans,
    listing,
    champions,
    judging,
    keeping,
    explain,
    export,
    export_model,
    reproduce,
    image,
    schema,
    waiving,
    drill,
    worker,
    scoreboard,
    tokens,
    mcp,
):
    module.add_commands(app)

# What `--help` lists together, in the order in which people meet it. A command that stands nowhere here is an error.
PANELS = {
    "Begin": ("demo", "up", "new", "adopt", "check", "explain", "doctor"),
    "Take nights": ("run", "backfill", "plan", "apply", "trigger", "cancel"),
    "See how they went": ("status", "runs", "batches", "models", "rejects", "scoreboard"),
    "Read predictions": ("web", "export", "mcp", "token"),
    "Decide what readers see": ("hold", "release", "replay", "revalidate", "suggest", "waive", "promote", "rollback"),
    "Keep and prove": ("prune", "pin", "unpin", "reproduce", "export-model", "drill"),
    "Run the house": ("worker", "schema", "db", "image"),
}


def _arrange(app: typer.Typer) -> None:
    panels = {name: panel for panel, names in PANELS.items() for name in names}
    for command in app.registered_commands:
        command.rich_help_panel = panels[str(command.name)]
    for group in app.registered_groups:
        group.rich_help_panel = panels[str(group.name)]
    app.registered_commands.sort(key=lambda one: list(panels).index(str(one.name)))


_arrange(app)


def _say_version(asked: bool) -> None:
    if asked:
        print(f"overnight {importlib.metadata.version('overnight')}")
        raise typer.Exit


@app.callback()
def overnight(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say which release this is, and exit.")
    ] = False,
) -> None:
    del version  # its callback has said it


def main() -> None:
    """Runs a command; exit codes are in `domain.errors`. `OVERNIGHT_DEBUG=1` shows the traceback behind a sentence."""
    atexit.register(gc.freeze)  # what ends anyway need not be taken apart: a sixth of the CPU seconds of a night's imports
    logging.basicConfig(level=os.environ.get("OVERNIGHT_LOG", "CRITICAL").upper(), format="%(message)s", stream=sys.stderr)
    try:
        app()
    except OvernightError as error:
        if os.environ.get("OVERNIGHT_DEBUG"):
            raise
        say(f"error: {error}")
        sys.exit(error.exit_code)
    except Exception as error:
        if os.environ.get("OVERNIGHT_DEBUG"):
            raise
        say(f"error: unexpected {type(error).__name__}: {error}. Try: OVERNIGHT_DEBUG=1 with the same command, which shows where")
        sys.exit(EXIT_FAILED)
    except SystemExit as end:
        if end.code == STOPPED:  # typer has caught the KeyboardInterrupt, and says nothing
            say("stopped")
        raise


if __name__ == "__main__":
    main()
