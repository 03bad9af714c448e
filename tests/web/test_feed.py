"""The Atom feed: nights published, corrected and held, newest first, with their trust line, and nothing that breaks XML."""

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import sqlalchemy as sa
from fastapi.testclient import TestClient

from deployments.catalogue import Definition
from infra.settings import Settings
from tasks.holding import hold
from tasks.night import take_night

A = "{http://www.w3.org/2005/Atom}"


def entries(client: TestClient) -> list[tuple[str, str]]:
    answer = client.get("/p/shops/feed.atom")
    assert answer.status_code == 200, answer.text
    found = fromstring(answer.content).findall(f"{A}entry")
    return [(_text(one, "title"), _text(one, "summary")) for one in found]


def _text(entry: Element, name: str) -> str:
    return entry.findtext(f"{A}{name}") or ""


def test_a_feed_says_what_was_published_corrected_and_held(
    settings: Settings, shops: Definition, write_day: Callable[..., Path], client: TestClient, owner: sa.Engine
) -> None:
    assert entries(client) == []
    night = shops.pipeline.calendar.named
    write_day("2024-01-01")
    take_night(shops, night("2024-01-01"), settings, trigger="test")
    write_day("2024-01-01", rows=61)
    take_night(shops, night("2024-01-01"), settings, trigger="late rows")
    write_day("2024-01-02", change=lambda lines: [lines[0], *["s,<x>\x0b,y,z,1,2" for _ in lines[1:]]])
    take_night(shops, night("2024-01-02"), settings, trigger="test")
    (held, why), (corrected, how), (published, what) = entries(client)
    assert (held, corrected, published) == ("2024-01-02 held", "2024-01-01 corrected", "2024-01-01 published")
    assert "limit 10" in why
    assert how.startswith("Batch 2, in place of batch 1, 61 rows, verdict: passed.")
    assert what.startswith("Batch 1, 60 rows, verdict: passed.")
    hold(shops, night("2024-01-01"), settings, who="ana", why="prices look wrong", holder={"pid": 1})
    (held, why), _, (_, how), _ = entries(client)
    assert (held, why) == ("2024-01-01 held", "Batch 2, 61 rows. held: by ana: prices look wrong")
    assert how.startswith("Batch 2, in place of batch 1, 61 rows, verdict: held: by ana: prices look wrong. ")


def test_a_feed_that_has_not_changed_is_not_sent_again(
    settings: Settings, shops: Definition, write_day: Callable[..., Path], client: TestClient
) -> None:
    write_day("2024-01-01")
    take_night(shops, shops.pipeline.calendar.named("2024-01-01"), settings, trigger="test")
    first = client.get("/p/shops/feed.atom")
    assert "Overnight-Trust" in first.headers
    assert client.get("/p/shops/feed.atom", headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    assert client.get("/p/nothing/feed.atom").status_code == 404


def test_a_pipeline_s_page_leads_to_its_feed(shops: Definition, client: TestClient) -> None:
    page = client.get("/p/shops").text
    named = re.search(r'<link rel="alternate" type="application/atom\+xml" [^>]*href="([^"]+)"', page)
    assert named is not None
    assert client.get(named[1]).headers["content-type"].startswith("application/atom+xml")
