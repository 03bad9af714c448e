"""Telling people and machines: the door for apprise, which comes with Prefect and is imported when there is something to tell,
and for webhooks."""

import logging
import re
from collections.abc import Mapping

from infra.settings import Settings

log = logging.getLogger("overnight.notify")


def send(settings: Settings, *, title: str, body: str) -> bool:
    """Sends a message to every address of OVERNIGHT_NOTIFY; whether one of them took it. Those that did not are named in the log.

    Never raises: a message that is lost must not lose a night.
    """
    urls = re.split(r"[\s,]+(?=\w+://)", settings.notify.strip()) if settings.notify else []
    deaf = [url.split("://")[0] for url in urls if not _takes(url, title=title, body=body)]
    if deaf:
        log.warning("a message did not reach everybody in OVERNIGHT_NOTIFY (%s)", ", ".join(deaf))
    return len(deaf) < len(urls)


def _takes(url: str, *, title: str, body: str) -> bool:
    try:
        import apprise

        messenger = apprise.Apprise()
        return messenger.add(url) and bool(messenger.notify(title=title, body=body))
    except Exception:  # whatever a service's plug-in raises
        return False


WITHIN = 5.0  # seconds that a webhook has to answer


def post(url: str, document: bytes, *, headers: Mapping[str, str]) -> tuple[int | None, str]:
    """Posts a document; returns the answer's status, None without an answer, and what went wrong, empty when it was taken.

    Never raises, follows nothing, and names no address in what it says: it may hold a secret.
    """
    import httpx

    try:
        answer = httpx.post(url, content=document, headers=dict(headers), timeout=WITHIN)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return None, f"no answer ({type(error).__name__})"
    return answer.status_code, "" if answer.is_success else f"it answered {answer.status_code}"
