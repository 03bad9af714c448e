"""The edge: where a request becomes one view of the ledger at one moment, and an answer with its trust line and its tag."""

import difflib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from jinja2 import Environment
from pydantic import BaseModel

from domain.errors import UsageError
from domain.interval import Interval
from domain.pipeline import Pipeline
from domain.trust import TrustLine
from store.reads.connection import Connection, Reader
from store.reads.pipelines import Alive, Mark, declared, ledger_mark, living_runs
from store.reads.pulse import Pulse
from store.reads.rows import newest_publication
from store.reads.trust import PipelineStanding, stand
from web.access import Guest, guest_of
from web.keeping import Kept, Shelf, address_of, next_change
from web.tags import holds
from web.words import trust_words

Clock = Callable[[], datetime]


class NotFound(UsageError):
    """What was asked for is not here; the sentence says what is."""


class Unchanged(Exception):
    """The asker already holds this answer."""

    def __init__(self, tag: str) -> None:
        self.tag = tag


@dataclass(frozen=True, slots=True)
class View:
    """One moment of the database, and the clock of one request."""

    connection: Connection
    now: datetime
    alive: Alive
    standings: Sequence[PipelineStanding]
    mark: Mark

    @property
    def one(self) -> PipelineStanding:
        return self.standings[0]

    @property
    def pipeline(self) -> Pipeline:
        return self.one.pipeline

    def named(self, night: str) -> Interval:
        """The interval of that name; raises NotFound with a sentence for anything that is none."""
        if night == "latest":
            if self.one.published is None:
                raise NotFound(f"nothing of {self.pipeline.name} is published yet", hint=self.one.todo)
            return self.one.published.interval
        try:
            return self.pipeline.calendar.named(night)
        except UsageError as error:
            raise NotFound(error.what) from None
        except (ValueError, OverflowError):
            raise NotFound(f"{night[:40]!r} is no night of {self.pipeline.name}") from None


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer and the trust line that goes with it. `page` holds what only the page needs, such as the words of its form."""

    body: BaseModel
    trust: Sequence[tuple[TrustLine, Pipeline]]
    page: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Known:
    """How the pipelines stand, as long as nothing is heard and no deadline passes."""

    version: int
    until: datetime
    alive: Alive
    standings: Sequence[PipelineStanding]
    mark: Mark
    stamp: str
    tags: dict[str | None, str] = field(default_factory=dict)
    blanks: dict[tuple[str, ...], Kept] = field(default_factory=dict)  # what is answered about no rows, by their columns

    @property
    def one(self) -> PipelineStanding:
        return self.standings[0]

    @property
    def running(self) -> bool:
        """Whether a night is taken that the trust lines tell of."""
        return any(one.running for one in self.standings)

    def lasts(self, *, lone: bool) -> bool:
        """Whether an answer has a tag and may be kept. While a night is taken, pages tell of stages, and of a process that may
        die, which change without a mark; rows of a sealed batch tell of neither."""
        return not self.running and (lone or not self.mark.open)

    def view(self, connection: Connection, now: datetime, alive: Alive) -> View:
        return View(connection, now, alive, self.standings, self.mark)


@dataclass(slots=True)
class Edge:
    """What every route is handed: the readers' pool, the clock, the templates, and the name of this build.

    With a pulse, how pipelines stand is known from the last time it was read, and whole answers are kept. What is known is
    used only beside the ledger that it was read from: a trust line and its rows are of one moment.
    """

    reader: Reader
    now: Clock
    pages: Environment
    build: str
    pulse: Pulse | None = None
    shelf: Shelf = field(default_factory=Shelf)
    known: dict[tuple[str | None, str], Known] = field(default_factory=dict)

    def answer(
        self,
        request: Request,
        assemble: Callable[[View], Answered],
        *,
        pipeline: str | None = None,
        template: str | None = None,
        lone: bool = False,
        keep: bool = True,
    ) -> Response:
        """Assembles an answer from one moment of the database, as JSON or through a template.

        `lone` says that the answer reads only sealed rows of the batch that is known, so that it is right if readers still
        see that batch; `keep` that the answer is all that its address gives. Raises Unchanged, before anything but the trust
        line was read, when the asker's tag is still right.
        """
        now, guest = self.now(), guest_of(request.scope)
        version = self.pulse.version if self.pulse and self.pulse.connected else None
        known = self.recall(pipeline, guest, now=now)

        def read(connection: Connection) -> tuple[Answered, str, Known]:
            found = known
            if found is None or ledger_mark(connection, pipeline) != found.mark:  # changed, and not heard yet
                found = self._learn(connection, pipeline, guest, now=now, alive=alive, version=version)
            tag = self.check_tag(request, found, template, lone=lone)
            return assemble(found.view(connection, now, alive)), tag, found

        def read_beside(connection: Connection) -> tuple[Answered, str, Known] | None:
            if known is None or newest_publication(connection, known.one.pipeline.name) != known.one.key:
                return None  # the pointer has moved, and that was not heard yet
            return assemble(known.view(connection, now, alive)), self.tag(known, template), known

        if known is not None:
            self.check_tag(request, known, template, lone=lone)
        alive = known.alive if known and not known.mark.open else self.reader.ask(living_runs)
        beside = self.reader.ask(read_beside) if known is not None and lone else None
        answered, tag, found = beside or self.reader.ask_at_once(read)
        lasts = found.lasts(lone=lone)
        response = self.respond(answered, tag if lasts else None, template=template, path=request.url.path)
        if keep and lasts and version is not None and found.version == version:
            self.shelf.put(address_of(request.scope), kept_as(response, found, tag))
        return response

    def recall(self, pipeline: str | None, guest: Guest, *, now: datetime) -> Known | None:
        """How the pipelines stand, if that was read before, nothing was heard since, and no deadline has passed."""
        version = self.pulse.version if self.pulse and self.pulse.connected else None
        known = self.known.get((pipeline, guest.scope))
        return known if known is not None and known.version == version and now < known.until else None

    def _learn(
        self, connection: Connection, pipeline: str | None, guest: Guest, *, now: datetime, alive: Alive, version: int | None
    ) -> Known:
        pipelines = find_pipelines(connection, pipeline, guest=guest)
        standings = stand(connection, pipelines, now=now, alive=alive)
        mark = ledger_mark(connection, pipeline)
        times = [(one.trust.to_json(), one.freshness.due, one.pipeline.calendar.before(now)) for one in standings]
        stamp = repr((mark.ledger, times))
        known = Known(version or -1, next_change(pipelines, now), alive, standings, mark, stamp)
        if version is not None and not known.running:
            self.known[pipeline, guest.scope] = known
        return known

    def check_tag(self, request: Request, known: Known, template: str | None, *, lone: bool) -> str:
        """The tag of an answer; raises Unchanged when the asker holds it already."""
        tag = self.tag(known, template)
        if holds(request.scope, tag) and known.lasts(lone=lone):
            raise Unchanged(tag)
        return tag

    def tag(self, known: Known, template: str | None) -> str:
        if template not in known.tags:
            digest = hashlib.sha256(f"{self.build} {template} {known.stamp}".encode()).hexdigest()[:16]
            known.tags[template] = f'W/"p{known.mark.publication}-{digest}"'
        return known.tags[template]

    def respond(self, answered: Answered, tag: str | None, *, template: str | None, path: str) -> Response:
        headers = answer_headers(answered.trust, tag=tag)
        if template is None:
            return Response(answered.body.model_dump_json(), media_type="application/json", headers=headers)
        zone = answered.trust[0][1].interval.timezone if answered.trust else None
        page = self.pages.get_template(template).render(
            answer=answered.body, trusts=answered.trust, zone=zone, path=path, **answered.page
        )  # fmt: skip
        return Response(page, media_type="text/html", headers=headers)


def kept_as(response: Response, known: Known, tag: str) -> Kept:
    """An answer as it can be given again, as long as what is known holds."""
    headers = tuple((name, value) for name, value in response.raw_headers if name != b"content-length")
    return Kept(known.version, known.until, tag, headers, bytes(response.body))


def answer_headers(trust: Sequence[tuple[TrustLine, Pipeline]], *, tag: str | None) -> dict[str, str]:
    """The trust line in one header, and what caches need."""
    lines = ", ".join("; ".join(trust_words(line, pipeline)) for line, pipeline in trust[:20])
    headers = {"Cache-Control": "private, no-cache", "Vary": "Accept, Authorization, Cookie"}
    if lines:
        headers["Overnight-Trust"] = lines.encode("ascii", "replace").decode()
    if tag:
        headers["ETag"] = tag
    return headers


def find_pipelines(connection: Connection, name: str | None, *, guest: Guest) -> list[Pipeline]:
    """All pipelines that the guest may see, or the one of that name; raises NotFound with the nearest known name. To a guest
    who may not see it a pipeline is none."""
    if name is not None and "\x00" in name:
        raise NotFound("a pipeline's name holds no NUL character")
    found = [one for one in declared(connection, name=name) if guest.sees(one.name)]
    if found or name is None:
        return found
    known = [pipeline.name for pipeline in declared(connection) if guest.sees(pipeline.name)]
    near = difflib.get_close_matches(name[:60], known, n=1)
    rest = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}" if known else "none is registered yet"
    raise NotFound(f"there is no pipeline {name[:60]!r}; {rest}")
