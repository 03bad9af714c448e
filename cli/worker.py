"""`overnight worker`: the part of `overnight up` that takes the nights, for a Prefect server that runs elsewhere."""

from datetime import UTC, datetime

import typer

from cli.show import say, saying_news
from domain.errors import UsageError
from infra.settings import load_settings


def add_commands(app: typer.Typer) -> None:
    app.command("worker")(worker)


def worker() -> None:
    """Deploy every pipeline to the Prefect server of OVERNIGHT_PREFECT_API_URL and take its nights, until Ctrl-C.

    Example: OVERNIGHT_PREFECT_API_URL=http://prefect:4200/api overnight worker
    """
    from deployments.prefect_yaml import render_prefect_yaml
    from infra.services import WORKER, run_services
    from tasks.prepare import prepare_house
    from tasks.watch import watch

    settings = load_settings()
    url = settings.prefect_api_url
    if url is None:
        raise UsageError("a worker needs to know its Prefect server", hint="OVERNIGHT_PREFECT_API_URL=… overnight worker")
    house = prepare_house(settings)
    for sentence in house.describe(*house.faults):
        say(sentence)
    yaml = render_prefect_yaml(house.pipelines)

    say_news = saying_news()

    def tidy() -> None:
        say_news(watch(settings, url, now=datetime.now(UTC)))

    with run_services(settings, say=say, parts=(WORKER,), prefect_yaml=yaml, before_worker=tidy) as services:
        say(f"taking the nights of {house.names}; Ctrl-C stops")
        services.keep_running(watch=tidy)
