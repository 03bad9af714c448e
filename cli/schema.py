"""`overnight schema`: what editors need to complete and check `pipeline.yaml` and `expectations.yaml`."""

import json

import typer

from cli.show import say
from domain.errors import UsageError
from infra.settings import load_settings


def add_commands(app: typer.Typer) -> None:
    app.command("schema")(schema)


def schema() -> None:
    """Write the JSON Schemas beside the pipelines; editors find them by the first line of each file.

    Example: overnight schema
    """
    from deployments.schema import pipeline_schema
    from tasks.expectations.schema import expectations_schema

    folder = load_settings().deployments
    for name, document in (("pipeline", pipeline_schema()), ("expectations", expectations_schema())):
        path = folder / f"{name}.schema.json"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        except OSError as error:
            raise UsageError(
                f"{path} cannot be written ({error.strerror or error})", hint="OVERNIGHT_DEPLOYMENTS=… names another folder"
            ) from None
        say(f"{path}: begin {name}.yaml with  # yaml-language-server: $schema=../{path.name}")
