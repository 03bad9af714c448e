"""`overnight image`: the container image in which stages run where a pipeline says `runner: docker`."""

from time import monotonic
from typing import Annotated

import typer

from cli.show import say
from infra.settings import load_settings

image = typer.Typer(help="The container image of stages, worker and web.", no_args_is_help=True)


def add_commands(app: typer.Typer) -> None:
    app.add_typer(image, name="image")


@image.callback()
def describe() -> None:
    """The container image of stages, worker and web."""


@image.command("build")
def build(
    tag: Annotated[str | None, typer.Option(help="Its name; none: OVERNIGHT_IMAGE.")] = None,
    base: Annotated[str | None, typer.Option(help="An image with Python 3.11 to 3.13; none: the official one.")] = None,
    extras: Annotated[
        list[str] | None, typer.Option("--with", help="A driver of object storage, s3 or gcs; may be repeated.")
    ] = None,
) -> None:
    """Build the image from this checkout, as locked. The first time takes minutes, later ones seconds.

    Example: overnight image build --with s3
    """
    from infra.images import build_image

    name, began = tag or load_settings().image, monotonic()
    say(f"building {name}; what Docker says follows")
    digest = build_image(name, base=base, extras=extras or (), quiet=False)
    say(f"built {name} ({digest[:19]}) in {monotonic() - began:.0f} s; next: write `runner: docker` into a pipeline.yaml")
