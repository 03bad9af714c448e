"""A pipeline's webhook: told of each night that is published, held or corrected, at least once, and again until it answers.

What is to be told is computed from the ledger, so whoever comes next tells what a process that died has left untold: the next
night, or `overnight up`, which looks every quarter of a minute.
"""

import hashlib
import hmac
import json
import logging
from datetime import datetime, timedelta
from typing import Any

from deployments.catalogue import Definition, load_definition, pipeline_names
from domain.errors import DefinitionError, OvernightError
from domain.interval import Interval
from infra.notify import post
from infra.settings import Settings
from store.batches import load_batch, newest_verdict
from store.deliveries import News, is_teller, listening_since, record_attempt, untold_news
from store.engine import transaction
from tasks.context import writer_engine
from tasks.ingest.place import with_secrets
from tasks.night import report_night

NEWS_FOR = timedelta(days=3)  # what could not be delivered for so long is given up
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=6)
log = logging.getLogger("overnight.notify")


def tell_webhooks(settings: Settings, *, now: datetime) -> list[str]:
    """Every pipeline's; returns a sentence for each thing that was delivered."""
    told: list[str] = []
    for name in pipeline_names(settings.deployments):
        try:
            definition = load_definition(settings.deployments, name)
        except DefinitionError:
            continue  # its night says so
        told += tell_webhook(definition, settings, now=now)
    return told


def tell_webhook(definition: Definition, settings: Settings, *, now: datetime) -> list[str]:
    """What one pipeline's webhook is due to hear. Never raises: whoever does not answer loses no night."""
    if not definition.pipeline.tell.webhook:
        return []
    try:
        return _tell(definition, settings, now=now)
    except (OvernightError, LookupError) as error:
        log.warning("the webhook of %s could not be told: %s", definition.pipeline.name, error)
        return []


def _tell(definition: Definition, settings: Settings, *, now: datetime) -> list[str]:
    name, asked = definition.pipeline.name, definition.pipeline.tell
    engine, told = writer_engine(settings), []
    address, secret = with_secrets(asked.webhook), with_secrets(asked.secret)
    with transaction(engine) as guard:
        if not is_teller(guard, name):
            return []
        with transaction(engine) as connection:
            since = max(listening_since(connection, name, address=asked.webhook), now - NEWS_FOR)
            found = untold_news(connection, name, since=since)
            waiting = [news for news in found if is_time(news.attempts, news.tried, now=now)]
        for news in waiting:
            document = json.dumps(describe(definition, news, settings), default=str).encode()
            headers = {
                "Content-Type": "application/json",
                "Overnight-Event": news.event,
                "Overnight-Delivery": name_of(name, news),
            }
            if secret:
                headers["Overnight-Signature"] = sign(document, secret=secret, at=now)
            status, error = post(address, document, headers=headers)
            with transaction(engine) as connection:  # its own, so that what was delivered is known whatever comes next
                record_attempt(connection, news, delivered=not error, status=status, error=error, at=now)
            if error:
                log.warning("the webhook of %s did not take %s: %s", name, name_of(name, news), error)
                break  # it is told in order, and one that is away is not asked for each
            told.append(f"told the webhook of {name}: {name_of(name, news)}")
    return told


def is_time(attempts: int, tried: datetime | None, *, now: datetime) -> bool:
    """Whether something is to be told that was tried so often in vain, and last at `tried`."""
    if tried is None:
        return True
    wait = min(FIRST_WAIT * 4 ** min(attempts - 1, 10), LONGEST_WAIT)
    return bool(now - tried >= wait)


def name_of(pipeline: str, news: News) -> str:
    """Equal for equal news, so that who hears it twice can tell."""
    return f"{pipeline}-{news.run}-{news.event}"


def sign(document: bytes, *, secret: str, at: datetime) -> str:
    """`t=<seconds>,v1=<hex>`: HMAC-SHA256 of the seconds, a full stop and the document."""
    seconds = f"{at.timestamp():.0f}"
    return f"t={seconds},v1={hmac.new(secret.encode(), f'{seconds}.'.encode() + document, hashlib.sha256).hexdigest()}"


def describe(definition: Definition, news: News, settings: Settings) -> dict[str, Any]:
    """The document: what happened to which night, with what stands in its trust line."""
    engine, pipeline = writer_engine(settings), definition.pipeline
    zone = pipeline.interval.timezone
    night = Interval(news.interval.start.astimezone(zone), news.interval.end.astimezone(zone))
    report = report_night(engine, news.of, night).to_json()
    with transaction(engine) as connection:
        batch = load_batch(connection, report["batch"]) if report["batch"] else None
        verdict = newest_verdict(connection, batch.input_batch or batch.id) if batch else None
    return {
        "id": name_of(pipeline.name, news),
        "event": news.event,
        "pipeline": pipeline.name,
        "title": pipeline.title,
        "interval": {"name": pipeline.calendar.label(night), **report["interval"]},
        "run": news.run,
        "batch": report["batch"],
        "content_hash": batch.content_hash if batch else None,
        "previous_batch": news.previous,
        "model_version": report["model"],
        "hindsight": batch.hindsight if batch else False,
        "hindsight_rows": batch.hindsight_rows if batch else 0,
        "rows": report["rows"],
        "verdict": str(verdict[0]) if verdict else None,
        "reason": news.reason,
        "at": news.at.isoformat(),
    }
