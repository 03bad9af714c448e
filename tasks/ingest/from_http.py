"""Brings the rows of a JSON address here, page by page, as a file with one object a line."""

import json
from collections.abc import Iterator
from pathlib import Path
from time import sleep
from typing import Any

from domain.errors import SourceError
from domain.interval import Interval
from domain.spec.source import Source
from tasks.ingest.files import SourceFile, look_at
from tasks.ingest.place import fill_in, refuse_a_way_out, with_secrets, without_secrets

_TRIES = 3
_PAGES = 100_000
_SECONDS = 60.0


def spool_pages(source: Source, interval: Interval, *, data: Path, scratch: Path) -> SourceFile:
    """Asks for every page and writes its rows to a file.

    Raises SourceError when the address does not answer (three tries), answers with an error or with something else than
    the rows that `source.rows` and `source.paging` describe.
    """
    target = scratch / "pages.jsonl"
    rows = 0
    with target.open("w", encoding="utf-8") as file:
        for page in _pages(source, with_secrets(fill_in(source.url, interval=interval, data=data))):
            for row in page:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            rows += len(page)
    if not rows:
        raise SourceError(
            f"{without_secrets(source.url)} answered without any row", hint="the same run again once there are some"
        )
    return look_at(target, without_secrets(source.url), placed=False)


def _pages(source: Source, url: str) -> Iterator[list[Any]]:
    import httpx

    headers = {name: with_secrets(value) for name, value in source.headers.items()}
    paging, seen = source.paging, set[str]()
    with httpx.Client(headers=headers, timeout=_SECONDS, follow_redirects=True) as client:
        address = httpx.URL(url)
        for number in range(_PAGES):
            if paging and paging.parameter:
                address = httpx.URL(url).copy_merge_params({paging.parameter: str(paging.first + number)})
            if str(address) in seen:
                raise SourceError(f"{without_secrets(url)}: the page after page {number} is one that was read before")
            seen.add(str(address))
            answer = _ask(client, address)
            page = _rows_in(answer, source.rows, url)
            yield page
            if paging is None or (paging.parameter and not page):
                return
            if paging.next is not None:
                following = _inside(answer, paging.next)
                if not following:
                    return
                address = address.join(str(following))
    raise SourceError(f"{without_secrets(url)} has more than {_PAGES:,} pages")


def _ask(client: Any, address: Any) -> Any:
    """One page as JSON; tries again when the server is busy or does not answer."""
    import httpx

    shown, last = without_secrets(str(address)), ""
    for attempt in range(_TRIES):
        if attempt:
            sleep(attempt)
        try:
            response = client.get(address)
        except httpx.HTTPError as error:
            refuse_a_way_out(shown, str(error))
            last = type(error).__name__
            continue
        refuse_a_way_out(shown, response.status_code, response.reason_phrase)
        if response.status_code < 400:
            try:
                return json.loads(response.content)
            except ValueError:
                raise SourceError(f"{shown} does not answer with JSON", hint="look at it in a browser") from None
        last = f"HTTP {response.status_code}"
        if response.status_code not in (408, 425, 429, 500, 502, 503, 504):
            break
    raise SourceError(f"{shown} does not answer as it should ({last})", hint="the same run again, or mend source.url")


def _inside(answer: Any, path: str) -> Any:
    for step in filter(None, path.split(".")):
        answer = answer.get(step) if isinstance(answer, dict) else None
    return answer


def _rows_in(answer: Any, path: str, url: str) -> list[Any]:
    rows = _inside(answer, path)
    if not isinstance(rows, list):
        there = f"holds {', '.join(answer)}" if isinstance(answer, dict) else f"is a {type(answer).__name__}"
        place = f"at {path!r}" if path else "at its top"
        raise SourceError(f"{without_secrets(url)} has no list of rows {place}: the answer {there[:200]}", hint="source.rows")
    return rows
