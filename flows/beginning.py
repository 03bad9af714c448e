"""Nights that do not begin: asked for again while that may help, and told to people at once when it does not."""

import functools
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from time import sleep
from typing import ParamSpec, TypeVar

from prefect.runtime import flow_run

from domain.errors import OvernightError
from domain.planning import RETRY_DELAYS
from flows.occasion import asks_to_tell, scheduled_moment, trigger
from infra.settings import readable_settings
from tasks.unbegun import tell_unbegun

log = logging.getLogger("overnight.night")
P = ParamSpec("P")
T = TypeVar("T")


def begun_or_told(take: Callable[P, T]) -> Callable[P, T]:
    """A night that was begun ends in a report. What is raised instead kept it from beginning, whatever it was. So it is with
    what comes before the first night of a backfill."""

    @functools.wraps(take)
    def patient(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return _try_again(functools.partial(take, *args, **kwargs))
        except Exception as error:
            _tell(error)
            raise

    return patient


def _try_again(take: Callable[[], T]) -> T:
    """While the ledger does not answer the night is asked for again, as a stage would be."""
    for delay in RETRY_DELAYS:
        try:
            return take()
        except OvernightError as error:
            if not error.retryable:
                raise
            log.info("%s; tried again in %.0f s", error, delay)
        sleep(delay)
    return take()


def _tell(error: Exception) -> None:
    given = flow_run.get_parameters()
    nights = f"{given['start']} to {given['end']}" if "start" in given else given.get("interval")
    try:
        tell_unbegun(
            str(given.get("pipeline")), error, readable_settings(), night=nights, moment=scheduled_moment(),
            now=datetime.now(UTC), trigger=trigger(), asked=asks_to_tell(),
        )  # fmt: skip
    except Exception as other:  # what people cannot be told stands in Prefect all the same
        log.warning("nobody could be told of it: %s", other)
