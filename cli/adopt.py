"""`overnight adopt`: from a notebook or a script to a pipeline's folder that runs as it is."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from cli.new import check_name, zone_of
from cli.nights import Json
from cli.show import err, out, print_json, print_pairs, say_next
from domain.errors import UsageError
from domain.interval import Interval
from infra.settings import load_settings

if TYPE_CHECKING:
    from tasks.adoption.adopt import Adopted

_STYLES = {"leak": "yellow", "leak?": "yellow", "look at": "yellow", "left out": "yellow"}


def add_commands(app: typer.Typer) -> None:
    app.command("adopt")(adopt)


def adopt(
    script: Annotated[Path, typer.Argument(help="A notebook (.ipynb) or a script (.py) that fits a scikit-learn model.")],
    name: Annotated[str | None, typer.Option(help="The pipeline's name; none: the file's.")] = None,
    source: Annotated[str | None, typer.Option("--from", help="Where the table is; none: where the script reads it.")] = None,
    target: Annotated[str | None, typer.Option(help="The column to predict; none: what the script fits to.")] = None,
    key: Annotated[
        str | None, typer.Option(help="The column that names a row, or several with commas between; none: found.")
    ] = None,
    time: Annotated[str | None, typer.Option(help="The column that says when a row happened.")] = None,
    table: Annotated[str | None, typer.Option(help="Of a database: the table.")] = None,
    query: Annotated[str | None, typer.Option(help="Of a database: a SELECT instead of a table.")] = None,
    timezone: Annotated[str, typer.Option(help="Where midnight is, as an IANA name.")] = "UTC",
    force: Annotated[bool, typer.Option("--force", help="Write over a folder of that name.")] = False,
    as_json: Json = False,
) -> None:
    """Read a notebook, without running it, and write the pipeline that does every night what it did once.

    Says with cell and line what came along, what is done here in another way, what was left out and why, and which leaks it had.

    Example: overnight adopt churn.ipynb
    """
    from tasks.adoption.adopt import Wish
    from tasks.adoption.adopt import adopt as read
    from tasks.onboarding.names import name_pipeline
    from tasks.onboarding.write import write_pipeline

    settings, zone = load_settings(), zone_of(timezone)
    called = name or name_pipeline(script.stem)
    check_name(called)
    if (settings.deployments / called / "pipeline.yaml").exists() and not force:
        raise UsageError(
            f"there is a pipeline {called} already, in {settings.deployments / called}",
            hint=f"overnight adopt {script} --name ANOTHER, or --force",
        )
    keys = tuple(part.strip() for part in key.split(",") if part.strip()) if key else ()
    today = datetime.now(UTC).astimezone(zone).date()
    midnight = datetime.combine(today, datetime.min.time(), zone)
    with err.status(f"reading {escape(str(script))}"):
        adopted = read(
            Wish(script, called, source or "", table, query, target, keys, time),
            today=today, night=Interval(midnight - timedelta(days=1), midnight), data=settings.data_folder,
        )  # fmt: skip
    folder = write_pipeline(adopted.proposal, settings.deployments, timezone=timezone, force=force, code=adopted.code)
    _tell(adopted, folder, as_json=as_json)


def _tell(adopted: "Adopted", folder: Path, *, as_json: bool) -> None:
    from tasks.adoption.report import lines, to_json
    from tasks.onboarding.report import next_commands

    if as_json:
        print_json(to_json(adopted, str(folder)))
        return
    print_pairs([(f"[bold {_STYLES.get(heading, '')}]{heading}[/]", escape(sentence)) for heading, sentence in lines(adopted)])
    files = ["pipeline.yaml", "expectations.yaml", *(["features.py"] if adopted.code else [])]
    out.print(f"\nwrote {folder}/{', '.join(files)}", soft_wrap=True)
    out.print(f"{adopted.script.file} was read and not run, and nothing of the data left this machine", soft_wrap=True)
    say_next(*next_commands(adopted.proposal))
