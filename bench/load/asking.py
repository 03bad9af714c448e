"""One reader: asks in turn over one connection, and holds each answer against the truth."""

import hashlib
import http.client
import json
import random
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from time import monotonic, sleep

import psycopg2

from bench.load.nights import NAME, ROWS
from bench.load.truth import Truth

LATEST_AT_MOST = 1.0  # seconds for which an answer that is kept may be behind the pointer
_BATCH = re.compile(r"; batch (\d+);")


@dataclass
class Answered:
    """An answer with its time, path and tag; `batch` as its trust line says."""

    path: str
    asked_at: float
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def tag(self) -> str:
        return self.headers.get("etag", "")

    @property
    def batch(self) -> int | None:
        found = _BATCH.search(self.headers.get("overnight-trust", ""))
        return int(found[1]) if found else None


@dataclass
class Record:
    """What all readers found. `errors` are (when, what) of answers that are none, `wrong` the sentences nobody may ever get."""

    truth: Truth
    milliseconds: dict[str, list[float]] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    errors: list[tuple[float, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    bodies: dict[tuple[str, str], tuple[str, int | None]] = field(default_factory=dict)
    batches: set[int] = field(default_factory=set)
    behind: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def blame(self, answer: Answered, why: str) -> None:
        with self.lock:
            self.wrong.append(f"{answer.path} {answer.tag}: {why}")

    def check(self, kind: str, answer: Answered, asked_tag: str) -> None:
        with self.lock:
            self.statuses[answer.status] += 1
        if answer.status == 304:
            self._check_unchanged(answer, asked_tag)
        elif answer.status == 200:
            self._check_tag(answer)
            self._check_batch(answer, answer.batch)
            _CHECKS.get(kind, _check_page)(self, answer)
        else:
            with self.lock:
                self.errors.append((monotonic(), f"{answer.status} {answer.path}"))

    def _check_tag(self, answer: Answered) -> None:
        """One address and one tag are one answer, whichever worker gave it."""
        if not answer.tag:
            return
        mine = hashlib.sha256(answer.body).hexdigest(), answer.batch
        with self.lock:
            known = self.bodies.setdefault((answer.path, answer.tag), mine)
        if known != mine:
            self.blame(answer, "the same tag, another answer")

    def _check_unchanged(self, answer: Answered, asked_tag: str) -> None:
        known = self.bodies.get((answer.path, asked_tag))
        if answer.body or known is None:
            self.blame(answer, "304 for a tag that was never given, or with a body")
        else:
            self._check_batch(answer, known[1])

    def _check_batch(self, answer: Answered, batch: int | None) -> None:
        if batch is None:
            self.blame(answer, "no trust line")
            return
        behind = self.truth.behind(batch, answer.asked_at)
        with self.lock:
            self.batches.add(batch)
            self.behind = max(self.behind, behind)
        if behind > LATEST_AT_MOST:
            self.blame(answer, f"batch {batch}, {behind:.2f} s after another was published")


def _check_rows(record: Record, answer: Answered) -> None:
    """Every row, column by column, is the row of that key in the batch of the trust line."""
    body = json.loads(answer.body)
    if body["trust"]["batch"] != answer.batch:
        record.blame(answer, "the trust line of the body is not that of the header")
    truth = record.truth.rows(body["trust"]["batch"])
    for row in body["rows"]:
        known = truth.get(row["shop"], {})
        if any(known.get(name, "?") != value for name, value in row.items()):
            record.blame(answer, f"{row} is not {dict(known)} of batch {answer.batch}")
    if body["total"] != len(truth):
        record.blame(answer, f"{body['total']} rows, and batch {answer.batch} has {len(truth)}")


def _check_key(record: Record, answer: Answered) -> None:
    """Every night of a key's history is the row of its own batch."""
    body = json.loads(answer.body)
    key = body["key"]["shop"]
    for said in body["nights"][:3]:
        known = record.truth.rows(said["batch"])[key]
        if any(known.get(name, "?") != value for name, value in said["values"].items()):
            record.blame(answer, f"{said['values']} is not {dict(known)} of batch {said['batch']}")


def _check_file(record: Record, answer: Answered) -> None:
    if answer.batch is not None and hashlib.sha256(answer.body).hexdigest() != record.truth.file_hash(answer.batch):
        record.blame(answer, f"another file than COPY makes of batch {answer.batch}")


def _check_page(record: Record, answer: Answered) -> None:
    if f"<span>batch {answer.batch}</span>".encode() not in answer.body:
        record.blame(answer, "the page's trust line is not that of the header")


_CHECKS: dict[str, Callable[[Record, Answered], None]] = {
    "look-up": _check_rows, "rows": _check_rows, "key": _check_key, "file": _check_file,
}  # fmt: skip


class Asker(threading.Thread):
    """Asks until it is stopped: mostly look-ups, then pages of rows, keys, HTML; with `files` also whole files."""

    def __init__(self, port: int, record: Record, *, seed: int, files: bool, pause: float = 0.002) -> None:
        super().__init__(daemon=True, name=f"asker {seed}")
        self._port, self._record, self._files, self._pause = port, record, files, pause
        self._chance, self.stopping = random.Random(seed), threading.Event()
        self._tags: dict[str, str] = {}
        self._dice = chain((0.01, 0.3, 0.6, 0.8, 0.9), iter(self._chance.random, None))  # one of each kind, then by chance
        self._line: http.client.HTTPConnection | None = None

    def run(self) -> None:
        while not self.stopping.is_set():
            kind, path = self._question()
            tag = self._tags.get(path, "") if self._chance.random() < 0.3 else ""
            try:
                answer = self._ask(path, tag)
                self._record.milliseconds.setdefault(kind, []).append((monotonic() - answer.asked_at) * 1000)
                self._tags[path] = answer.tag or self._tags.get(path, "")
                self._record.check(kind, answer, tag)
            except (OSError, http.client.HTTPException) as error:
                self._record.errors.append((monotonic(), f"cut {type(error).__name__} {path}"))
                self._hang_up()
                sleep(0.05)
            except psycopg2.Error:
                sleep(0.05)  # the truth cannot be read now, so this answer is not judged
            sleep(self._pause)

    def _question(self) -> tuple[str, str]:
        key, dice = f"s{self._chance.randrange(ROWS):06d}", next(self._dice)
        if self._files and dice < 0.02:
            return "file", f"/p/{NAME}/rows.csv"
        if dice < 0.55:
            return "look-up", f"/api/v1/p/{NAME}/rows?shop={key}"
        if dice < 0.75:
            return "rows", f"/api/v1/p/{NAME}/rows?limit=50&shop__ge=s{self._chance.randrange(20) * 100:06d}"
        if dice < 0.85:
            return "key", f"/api/v1/p/{NAME}/key/{key}"
        return "page", self._chance.choice([f"/p/{NAME}", f"/p/{NAME}/rows", f"/p/{NAME}/latest", "/"])

    def _ask(self, path: str, tag: str) -> Answered:
        if self._line is None:
            self._line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        asked_at = monotonic()
        self._line.request("GET", path, headers={"If-None-Match": tag} if tag else {})
        answer = self._line.getresponse()
        body = answer.read()
        return Answered(path, asked_at, answer.status, {name.lower(): value for name, value in answer.getheaders()}, body)

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
        self._line = None
