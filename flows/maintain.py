"""`maintain`: keeps the house. What is older than each pipeline keeps is pruned, left-overs are swept, history is trimmed."""

import logging
from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.states import Completed, Failed

from domain.errors import OvernightError
from domain.planning import RETRY_DELAYS
from flows.policy import KEEPS_NOTHING
from infra.settings import load_settings
from tasks.maintain import keep_house


@flow(name="maintain", retries=1, retry_delay_seconds=RETRY_DELAYS[-1], **KEEPS_NOTHING)
def maintain() -> Any:
    """Does what `overnight prune --yes` does, for every pipeline. Safe to run at any time, and to kill."""
    logging.getLogger("overnight").setLevel(logging.INFO)
    try:
        return Completed(message=keep_house(load_settings(), at=datetime.now(UTC), who="maintain"))
    except OvernightError as error:
        return Failed(message=str(error), data=error)
