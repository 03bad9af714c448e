"""What goes on beside the nights, every quarter of a minute: recovery of what died, and news for people and webhooks."""

from datetime import datetime

from infra.settings import Settings
from tasks.recovery import recover
from tasks.telling import tell_due
from tasks.webhook import tell_webhooks


def watch(settings: Settings, api_url: str, *, now: datetime) -> list[str]:
    """Returns a sentence for each thing that was done; raises what `recover` raises. Safe to repeat."""
    return recover(settings, api_url, now=now) + tell_due(settings, now=now) + tell_webhooks(settings, now=now)
