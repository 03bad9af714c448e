"""What goes on beside the nights, every quarter of a minute: recovery of what died, a look at the definitions, and news for
people and webhooks."""

from datetime import datetime
from functools import partial

from domain.errors import OvernightError
from infra.settings import Settings
from tasks.prepare import prepare_house
from tasks.recovery import recover
from tasks.telling import tell_due, tell_left_over
from tasks.unbegun import tell_still_unbegun
from tasks.webhook import tell_webhooks


def look_after_definitions(settings: Settings) -> list[str]:
    """What broke or was mended in the deployments folder since the last look; readers are told of it."""
    house = prepare_house(settings)
    mended = [f"{name} is as it should be again" for name, fault in house.news.items() if fault is None]
    return house.describe(*house.news) + mended


def watch(settings: Settings, api_url: str, *, now: datetime) -> list[str]:
    """Returns a sentence for each thing that was done or could not be; lateness is told while Prefect is away. Safe to repeat.

    Never raises: whoever watches must not end what it watches over, and what cannot be done keeps nothing else from its turn.
    """
    said: list[str] = []
    looks = (
        partial(recover, settings, api_url, now=now),
        partial(look_after_definitions, settings),
        partial(tell_due, settings, now=now),
        partial(tell_left_over, settings, now=now),
        partial(tell_still_unbegun, settings, now=now),
        partial(tell_webhooks, settings, now=now),
    )
    for look in looks:
        try:
            said += look()
        except OvernightError as error:
            said.append(str(error))
        except Exception as error:
            said.append(f"the watch met an unexpected {type(error).__name__}, and looks again: {error}")
    return said
