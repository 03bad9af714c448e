"""`export-model`: a stored model in MLflow's format."""

from pathlib import Path
from typing import Annotated

import typer

from cli.nights import Json, Name
from cli.show import print_json, say
from infra.settings import load_settings


def add_commands(app: typer.Typer) -> None:
    app.command("export-model")(export_model)


def export_model(
    name: Name,
    to: Annotated[Path, typer.Option("--to", help="A folder that does not exist yet, or is empty.")],
    version: Annotated[int | None, typer.Argument(help="The model version; none: today's champion.")] = None,
    as_json: Json = False,
) -> None:
    """Write a model into a folder that MLflow loads: its bytes as stored, its versions, its card. MLflow is not needed here.

    Example: overnight export-model flights 3 --to flights-3
    """
    from tasks.export_model import export_model as write
    from tasks.prepare import prepare

    settings = load_settings()
    prepare(settings)
    done = write(settings, name, to, number=version)
    if as_json:
        print_json({"folder": str(done.path), "version": done.version, "sha256": done.sha256, "files": dict(done.files)})
        return
    say(f'version {done.version} of {name} is in {done.path}; next: mlflow.pyfunc.load_model("{done.path}").predict(frame)')
