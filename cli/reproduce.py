"""`reproduce`: is a batch still what its input, its code and its model give?"""

from typing import Annotated

import typer

from cli.nights import Json, waiting
from cli.show import print_json, say
from infra.settings import load_settings


def add_commands(app: typer.Typer) -> None:
    app.command("reproduce")(reproduce)


def reproduce(
    batch: Annotated[int, typer.Argument(min=1, help="The batch's number, as `overnight batches` shows it.")],
    as_json: Json = False,
) -> None:
    """Make a batch again from its recorded input, code and model, where nobody reads it, and compare the content hash.

    Exit codes: 0 reproduced, 1 something else came out, 4 its model or its input cannot be had, 5 its source is gone or changed.

    Example: overnight reproduce 17
    """
    from tasks.prepare import prepare
    from tasks.reproduce import reproduce as make_again

    settings = load_settings()
    prepare(settings)
    with waiting(f"batch {batch} again"):
        done = make_again(settings, batch)
    if as_json:
        print_json(done.to_json())
    else:
        what = f"batch {batch}, {done.batch.kind} of {done.batch.pipeline}, {done.batch.rows:,} rows"
        end = f"content hash {done.batch.content_hash}" if done.same else (
            f"the ledger says {done.batch.content_hash}, and {done.found or 'nothing'} came out"
        )  # fmt: skip
        say(f"{'reproduced' if done.same else 'not reproduced'}: {what}; {end}")
        for difference in done.differences:
            say(f"  {difference}")
        if not done.same and not done.differences:
            say("  nothing that is recorded differs, so something is left to chance: features.py, or the model's random_state?")
    raise typer.Exit(done.exit_code)
