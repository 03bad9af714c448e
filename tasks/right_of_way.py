"""Who goes first: a backfill lets a night that the schedule has started go before its own next one."""

import logging
from time import sleep

from domain.errors import OvernightError
from infra.settings import Settings
from store.engine import transaction
from store.nights import scheduled_night_under_way
from store.recovery import close_dead_runs
from tasks.context import writer_engine
from tasks.recovery import is_holder_alive

AT_MOST = 3600  # seconds that a backfill waits
LOOK_EVERY = 2
log = logging.getLogger("overnight.night")


def is_way_clear(settings: Settings) -> bool:
    """Whether no night of the schedule is under way, in a process that lives."""
    engine = writer_engine(settings)
    try:
        with transaction(engine) as connection:
            other = scheduled_night_under_way(connection)
        if other is not None:
            close_dead_runs(engine, is_alive=is_holder_alive)
            log.info("the backfill waits for the scheduled night of %s", other[0])
        return other is None
    except OvernightError:
        return True  # the night itself meets the ledger next, and has the words for it


def give_way(settings: Settings) -> None:
    """Waits until the way is clear, within a limit."""
    waited = 0
    while waited < AT_MOST and not is_way_clear(settings):
        sleep(LOOK_EVERY)
        waited += LOOK_EVERY
