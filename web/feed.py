"""An Atom feed per pipeline: each night that was published, held or corrected, with its trust line."""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement, tostring  # written, never parsed

from fastapi import APIRouter, Request
from fastapi.responses import Response

from domain.interval import Interval
from domain.pipeline import Pipeline
from domain.trust import tell_hindsight
from domain.words import Outcome
from store.reads.connection import Connection
from store.reads.feed import news_of
from store.reads.pipelines import living_runs
from store.reads.trust import PipelineStanding, stand
from web.access import guest_of
from web.api import Name, edge_of
from web.edge import answer_headers, find_pipelines
from web.tags import holds_tag
from web.words import trust_words

ENTRIES = 50
ATOM = "http://www.w3.org/2005/Atom"
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
router = APIRouter(include_in_schema=False)


@router.get("/p/{pipeline}/feed.atom")
def feed(request: Request, pipeline: Name) -> Response:
    """What a feed reader asks for every now and then; unchanged, it costs no more than the question."""
    edge = edge_of(request)
    now, alive = edge.now(), edge.reader.ask(living_runs)

    def read(connection: Connection) -> tuple[PipelineStanding, Sequence[dict[str, Any]]]:
        (standing,) = stand(connection, find_pipelines(connection, pipeline, guest=guest_of(request.scope)), now=now, alive=alive)
        return standing, news_of(connection, pipeline, limit=ENTRIES)

    standing, news = edge.reader.ask_at_once(read)
    document = write_feed(standing, news, here=str(request.base_url), now=now)
    tag = f'W/"{hashlib.sha256(document).hexdigest()[:20]}"'
    headers = answer_headers([(standing.trust, standing.pipeline)], tag=tag)
    if holds_tag(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    return Response(document, media_type="application/atom+xml", headers=headers)


def write_feed(standing: PipelineStanding, news: Sequence[dict[str, Any]], *, here: str, now: datetime) -> bytes:
    """The document; `here` is the address of this web, and `now` stands for a feed in which nothing has happened yet."""
    pipeline = standing.pipeline
    root = Element("feed", xmlns=ATOM)
    page = f"{here}p/{quote(pipeline.name)}"
    _add(root, "id", f"tag:overnight,2026:{pipeline.name}")
    _add(root, "title", pipeline.title)
    _add(root, "subtitle", "; ".join(trust_words(standing.trust, pipeline)))
    _add(root, "updated", (news[0]["at"] if news else now).isoformat())
    _add(SubElement(root, "author"), "name", pipeline.owner or "Overnight")
    SubElement(root, "link", rel="self", type="application/atom+xml", href=f"{page}/feed.atom")
    SubElement(root, "link", rel="alternate", type="text/html", href=page)
    for one in news:
        _write_entry(root, pipeline, one, page=page)
    document: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _write_entry(root: Element, pipeline: Pipeline, news: dict[str, Any], *, page: str) -> None:
    label = pipeline.calendar.label(Interval(news["interval_start"], news["interval_end"]))
    entry = SubElement(root, "entry")
    _add(entry, "id", f"tag:overnight,2026:{pipeline.name}:run:{news['run']}:{news['event']}")
    _add(entry, "title", f"{label} {news['event']}")
    _add(entry, "updated", news["at"].isoformat())
    SubElement(entry, "link", rel="alternate", type="text/html", href=f"{page}/{quote(label)}")
    SubElement(entry, "category", term=news["event"])
    _add(entry, "summary", _sentence(news))


def _sentence(news: dict[str, Any]) -> str:
    about = [f"Batch {news['batch']}" if news["batch"] is not None else "No batch"]
    if news["event"] == "corrected" and news["previous"] is not None:
        about.append(f"in place of batch {news['previous']}")
    if news["rows"] is not None:
        about.append(f"{news['rows']:,} rows")
    if news["model_version"] is not None:
        about.append(f"model version {news['model_version']}")
    if news["hindsight_rows"]:
        about.append(tell_hindsight(news["hindsight_rows"], news["rows"]))
    if news["verdict"] not in (None, news["event"]):
        held = news["verdict"] == Outcome.HELD  # since then, of which its own reason knows nothing
        about.append(f"verdict: {news['verdict_reason'] if held else news['verdict']}")
    return f"{', '.join(about)}. {news['reason']}"


def _add(parent: Element, name: str, text: str) -> None:
    SubElement(parent, name).text = _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)
