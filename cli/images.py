"""`overnight image build`: the container image that stages, worker, web and Prefect's server run in."""

from typing import Annotated

import typer

from cli.show import say
from infra.settings import load_settings

images = typer.Typer(help="The container image.", no_args_is_help=True)


def add_commands(app: typer.Typer) -> None:
    app.add_typer(images, name="image")


@images.command("build")
def build(
    base: Annotated[str | None, typer.Option(help="The image with Python to build on; none: the Dockerfile's own.")] = None,
    tag: Annotated[str | None, typer.Option(help="Its name; none: the one that stages use.")] = None,
) -> None:
    """Build the image from this checkout. The packages come from wherever this machine's pip has them.

    Example: overnight image build --base python:3.12-slim
    """
    from infra.images import build_image

    name = tag or load_settings().image
    digest = build_image(name, base=base, quiet=False)
    say(f"built {name} ({digest[:19]}); next: write runner: docker in a pipeline.yaml")
