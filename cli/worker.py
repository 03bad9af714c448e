"""`overnight worker`: the part of `overnight up` that takes the nights, for a Prefect server that runs elsewhere."""

from datetime import UTC, datetime

import typer

from cli.show import say
from domain.errors import UsageError
from infra.settings import load_settings


def add_commands(app: typer.Typer) -> None:
    app.command("worker")(worker)


def worker() -> None:
    """Deploy every pipeline to the Prefect server of OVERNIGHT_PREFECT_API_URL and take its nights, until Ctrl-C.

    Example: OVERNIGHT_PREFECT_API_URL=http://prefect:4200/api overnight worker
    """
    from deployments.catalogue import load_definition, pipeline_names
    from deployments.prefect_yaml import render_prefect_yaml
    from infra.services import WORKER, run_services
    from tasks.prepare import prepare
    from tasks.watch import watch

    settings = load_settings()
    url = settings.prefect_api_url
    if url is None:
        raise UsageError("a worker needs to know its Prefect server", hint="OVERNIGHT_PREFECT_API_URL=… overnight worker")
    names = pipeline_names(settings.deployments)
    prepare(settings, *names)
    yaml = render_prefect_yaml(load_definition(settings.deployments, name).pipeline for name in names)

    def tidy() -> None:
        for sentence in watch(settings, url, now=datetime.now(UTC)):
            say(sentence)

    with run_services(settings, say=say, parts=(WORKER,), prefect_yaml=yaml, before_worker=tidy) as services:
        say(f"taking the nights of {', '.join(names) or 'no pipeline yet'}; Ctrl-C stops")
        services.keep_running(watch=tidy)
