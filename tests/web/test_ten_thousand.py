"""Ten thousand hostile questions, made by chance from a seed: none breaks anything, tells what it should not, or writes."""

import asyncio
import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_from_bytes, unquote

import psycopg2
import pytest
from bookkeeping import Ledger
from fastapi import FastAPI
from psycopg2 import sql
from test_hostile import PLACES, VALUES

from infra.settings import Settings
from web.app import create_app

MORE_PLACES = [
    "/p/shops/rows.csv?{v}={v}", "/p/shops/rows.{v}", "/p/shops/{v}.ndjson", "/p/shops/rows.parquet?night={v}", "/{v}", "//{v}",
    "/p/shops/models/{v}.md", "/p/shops/models/1.{v}", "/p/shops/scoreboard?metric={v}", "/p/shops/champion?night={v}",
    "/p/shops/feed.atom?{v}", "/static/{v}", "/docs/{v}", "/openapi.json?{v}", "/metrics?{v}", "/healthz/{v}", "/search?{v}={v}",
    "/p/{v}/rows?after={v}&sort={v}", "/p/shops/rows?columns={v}&limit={v}&as_of={v}&night={v}", "/p/shops/key/s000003/{v}",
    "/p/shops/2024-01-04/{v}", "/p/shops/rows?shop__{v}={v}&shop__ge={v}&price__lt={v}", "/p/shops/rows?facets=yes&region={v}",
    "/p/shops/rows?shop__eq={v}", "/p/shops/rows?stock__ge={v}&sort=-stock&after={v}", "/events/{v}", "/login?then={v}",
    "/{v}/{v}",
]  # fmt: skip
INJECTED = [
    "' OR 1=1 --", "1; DROP TABLE overnight.run; --", "\"; DROP SCHEMA reading CASCADE; --",
    "1)) union select rolpassword from x--", "$$; DELETE FROM y; $$", "%27%20OR%201%3D1", "E'\\x27'", "' || pg_sleep(9) || '",
    "{{7*7}}", "${7*7}", "<svg onload=a()>", "\r\nSet-Cookie: evil=1", "..%2f..%2fetc%2fpasswd", "..\\..\\etc\\passwd",
    "....//....//etc/passwd", "/etc/passwd%00.csv", "file:///etc/passwd", "//evil.example/", "\ufeff", "\u2028", "\uff21",
    "\U000e0041", "\ud800", "a\u0300" * 50, "\ufdfa", "\u0130", "0" * 5000, "[" * 2000, "eyJhIjoxfQ==", "WzEsMl0",
    "W251bGwsIng", "WyJzMDAwMDAzIiwxZTk5OV0", "-0", "+1", "1e308", "\u0661\u0662\u0663", "\U0001d7d9", "0b1", "1__0",
    "2024-01-04T00:00:00.000000000000001", "2024-01-04 ", "24:00", "P1D", "now()", "infinity", "epoch", "allballs", "today",
]  # fmt: skip
HEADERS = ["accept", "if-none-match", "authorization", "cookie", "last-event-id", "x-request-id", "range", "accept-language",
           "te",
           "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "origin", "referer", "content-type", "if-modified-since",
           "accept-encoding", "forwarded", "x-http-method-override"]  # fmt: skip
ACCEPTED = [
    b"*/*",
    b"text/html",
    b"application/json",
    b"text/csv",
    b"image/png",
    b"",
    b";q=2",
    b"application/*;q=x,,",
    b"a" * 3000,
]
METHODS = [*["GET"] * 30, "HEAD", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "PROPFIND", "X" * 40]
# What the inside is called. None of it stands in what is asked, so none of it may stand in an answer.
INSIDE = re.compile(
    r"psycopg|Traceback|site-packages|\.py\b|landed_\d|predictions_\d|pg_catalog|pg_toast|DETAIL:|LINE 1:|SQLSTATE"
    r"|overnight_reader|syntax error at|\bSELECT [a-z]|/tmp/|/home/|/root/|overnight-tests|secret_hash"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]

    @property
    def scope(self) -> dict[str, Any]:
        """As a server would make it of these bytes."""
        path, _, query = self.target.partition(b"?")
        return {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": self.method,
            "scheme": "http", "path": unquote(path.decode("ascii")), "raw_path": path, "query_string": query, "root_path": "",
            "headers": [(b"host", b"localhost"), *self.headers], "client": ("127.0.0.1", 5000), "server": ("127.0.0.1", 8500),
            "state": {},
        }  # fmt: skip


def hostile(chance: random.Random) -> Asked:
    def value() -> str:
        kind = chance.random()
        if kind < 0.75:
            return chance.choice(VALUES + INJECTED)
        if kind < 0.85:
            return chance.choice(VALUES) + chance.choice(INJECTED)
        return "".join(
            chr(chance.choice((chance.randrange(256), chance.randrange(0x110000)))) for _ in range(chance.randrange(40))
        )

    def written() -> str:
        raw = value().encode("utf-8", "surrogatepass")
        if chance.random() < 0.1:
            raw = bytes(chance.randrange(256) for _ in range(chance.randrange(30)))  # no UTF-8 at all
        return quote_from_bytes(raw, safe=chance.choice(("", "", "/", "/%?&=;,:@")))

    place = re.sub(r"\{v\}", lambda _: written(), chance.choice(PLACES + MORE_PLACES))
    start = chance.choice(("", "/api/v1", "/api/v1"))
    named = chance.sample(HEADERS, chance.choice((0, 0, 1, 2, 4)))
    headers = [(name.encode(), _header(chance, name, value())) for name in named]
    target = (start + place).encode("ascii", "replace").replace(b" ", b"%20").replace(b"#", b"%23")
    return Asked(chance.choice(METHODS), bytes(byte for byte in target if byte > 32), headers)


def _header(chance: random.Random, name: str, value: str) -> bytes:
    if name == "accept" and chance.random() < 0.7:
        return chance.choice(ACCEPTED)
    said = {"authorization": "Bearer ", "cookie": "overnight=", "if-none-match": 'W/"'}.get(name, "") + value
    return bytes(byte for byte in said.encode("utf-8", "surrogatepass") if byte >= 32 and byte != 127)  # what httptools lets pass


async def ask(app: FastAPI, asked: Asked) -> tuple[int, dict[str, str], bytes]:
    told: dict[str, Any] = {}
    body = bytearray()
    read = False

    async def receive() -> dict[str, Any]:
        nonlocal read
        if read:
            await asyncio.sleep(0.05)  # and is gone, which ends what streams for ever
            return {"type": "http.disconnect"}
        read = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            told.update(message)
        else:
            body.extend(message.get("body", b""))

    await asyncio.wait_for(app(asked.scope, receive, send), 300)
    return told["status"], {name.decode(): value.decode("latin-1") for name, value in told["headers"]}, bytes(body)


def judge(asked: Asked, status: int, headers: Mapping[str, str], body: bytes) -> Iterator[str]:
    """What is wrong with an answer."""
    if status >= 500:
        yield "broke"
    if status >= 400 and asked.target.startswith(b"/api/") and asked.method != "HEAD":
        if headers["content-type"] != "application/problem+json":
            yield f"no problem but {headers['content-type']}"
        elif not (said := json.loads(body))["detail"] or said["status"] != status:
            yield f"no sentence: {said}"
    if headers.get("content-type", "").startswith(("text/", "application/")) and "parquet" not in headers["content-type"]:
        told = body.decode() + "\n".join(headers.values())
        if found := INSIDE.search(told):
            yield f"tells of the inside: {told[max(0, found.start() - 60) : found.end() + 60]!r}"
        if "<svg onload" in told and "json" not in headers["content-type"] and "csv" not in headers["content-type"]:
            yield "an element that was typed stands in the page"
    if "set-cookie" in headers or any("\r" in value or "\n" in value for value in headers.values()):
        yield "a header that was typed"
    if "evil" in headers.get("location", "").partition("?")[0].partition("/p/")[0]:
        yield "leads elsewhere"
    if not {"content-security-policy", "x-request-id"} <= set(headers):
        yield "stands outside of what guards answers"


def content(database: str) -> dict[str, str]:
    """Every table of the database with the hash of its rows, of where each stands and of what has written it."""
    found = {}
    with psycopg2.connect(database) as session, session.cursor() as cursor:
        cursor.execute(
            "SELECT c.oid::regclass::text, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information_schema)' ORDER BY 1"
        )
        for name, schema, table in cursor.fetchall():
            text = "SELECT md5(string_agg(concat(t.ctid, t.xmin, t.xmax, t), '|' ORDER BY t.ctid)) FROM {} t"
            cursor.execute(sql.SQL(text).format(sql.Identifier(schema, table)))
            found[name] = str(cursor.fetchone())
    return found


def may_write(database: str) -> list[str]:
    """What the role that the web acts as could change; it should be nothing."""
    with psycopg2.connect(database) as session, session.cursor() as cursor:
        cursor.execute(
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^(pg_|information_schema)'"
            " AND has_table_privilege('overnight_reader', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')"
            " UNION ALL SELECT nspname FROM pg_namespace WHERE has_schema_privilege('overnight_reader', oid, 'CREATE')"
        )
        return [str(line[0]) for line in cursor.fetchall()]


def ask_hostile(settings: Settings, database: str, clock: Any, *, times: int, seed: int) -> dict[int, int]:
    """Asks, six at a time, a web that listens and keeps answers; returns how many answers had each status."""
    chance, statuses, wrong = random.Random(seed), dict[int, int](), list[str]()
    before = content(database)

    async def some(app: FastAPI, questions: list[Asked]) -> None:
        for asked in questions:
            status, headers, body = await ask(app, asked)
            statuses[status] = statuses.get(status, 0) + 1
            wrong.extend(f"{problem}: {asked} {status} {body[:200]!r}" for problem in judge(asked, status, headers, body))

    async def all_of_them() -> None:
        app = create_app(settings, now=clock)
        questions = [hostile(chance) for _ in range(times)]
        async with app.router.lifespan_context(app):
            await asyncio.gather(*(some(app, questions[start::6]) for start in range(6)))

    asyncio.run(all_of_them())
    assert wrong[:5] == []
    assert content(database) == before
    return statuses


def test_five_hundred_hostile_questions_break_nothing_tell_nothing_and_write_nothing(
    published: Ledger, settings: Settings, database: str, clock: Any
) -> None:
    statuses = ask_hostile(settings, database, clock, times=500, seed=8)
    assert {200, 400, 404, 422} <= set(statuses)
    assert may_write(database) == []


@pytest.mark.slow  # half a minute
def test_ten_thousand_hostile_questions_break_nothing_tell_nothing_and_write_nothing(
    published: Ledger, settings: Settings, database: str, clock: Any
) -> None:
    statuses = ask_hostile(settings, database, clock, times=10_000, seed=20261123)
    assert sum(statuses.values()) == 10_000
    assert statuses[200] > 500
