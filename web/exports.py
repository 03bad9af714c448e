"""Downloads: a whole batch or a filtered part of one, streamed as it comes from Postgres."""

import asyncio
import base64
import queue
import threading
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import FileResponse, Response, StreamingResponse

from domain.trust import tell_held
from store.reads.export import Copy
from store.reads.parquet import TYPE, parquet_blocks
from store.reads.pruned import require_rows
from store.reads.rows import Question, column_types, compose
from web.api import Name, NightName, edge_of
from web.edge import Answered, View
from web.entities import seen_batch
from web.errors import problem
from web.files import KeptFile, KeptFiles, name_of
from web.questions import RowsAsked, read_question
from web.schemas import Health
from web.words import trust_words

AT_ONCE = 2
Form = Annotated[Literal["csv", "ndjson", "parquet"], Path(description="csv, ndjson or parquet")]
TYPES: dict[str, str] = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson", "parquet": TYPE}
router = APIRouter(tags=["export"])
_places = threading.BoundedSemaphore(AT_ONCE)


class _Place:
    """One of the places, left when the work is done, or when nobody ever began it."""

    def __init__(self) -> None:
        self._held = _places.acquire(blocking=False)

    def __bool__(self) -> bool:
        return self._held

    def leave(self) -> None:
        if self._held:
            self._held = False
            _places.release()

    __del__ = leave


@router.get("/api/v1/p/{pipeline}/rows.{form}", summary="Published rows of one night as a file: csv, ndjson or parquet")
@router.get("/p/{pipeline}/rows.{form}", include_in_schema=False)
def export_rows(request: Request, pipeline: Name, form: Form, asked: Annotated[RowsAsked, Query()]) -> Response:
    """The filters and columns of `rows`; every column when none is named. With `trust=yes` a CSV begins with the trust line
    as a comment; a Parquet file has it as metadata. The body is never cut short in silence: a download that ends early ends
    with an error."""
    return _export(request, pipeline, asked, form=form)


@router.get("/api/v1/p/{pipeline}/{interval}.{form}", summary="All predictions of one night as a file: csv, ndjson or parquet")
@router.get("/p/{pipeline}/{interval}.{form}", include_in_schema=False)
def export_night(request: Request, pipeline: Name, interval: NightName, form: Form) -> Response:
    return _export(request, pipeline, RowsAsked(night=interval), form=form)


@dataclass(frozen=True, slots=True)
class _Download:
    """What is sent: the running COPY, which can be cancelled, the file's blocks made of it, and its headers; or the file that
    was kept of them, which needs no COPY."""

    copy: Copy
    blocks: Iterable[bytes]
    headers: dict[str, str]
    comment: bytes
    kept: KeptFile | None = None


def _export(request: Request, pipeline: str, asked: RowsAsked, *, form: Form) -> Response:
    edge = edge_of(request)
    files: KeptFiles = request.app.state.files
    found: list[_Download] = []
    none: list[str] = []

    def prepare(view: View) -> Answered:
        seen, trust = seen_batch(view, asked.night, as_of=asked.moment(view.pipeline))
        if seen is None or seen.input_batch is None:
            none.append(f"{tell_held(trust.held)}." if trust.held else trust.reason)
            return Answered(Health(status="nothing", detail=trust.reason), [(trust, view.pipeline)])
        query = request.query_params.multi_items()
        wanted = asked if asked.columns else asked.model_copy(update={"columns": "*"})
        question = read_question(view.pipeline, wanted, [pair for pair in query if pair[0] != "trust"])
        statement, parameters = compose(
            view.pipeline, _whole(question), batch=seen.batch, input_batch=seen.input_batch, capped=False
        )
        line = "; ".join(trust_words(trust, view.pipeline))
        copy = Copy(
            edge.reader, statement, parameters, form="ndjson" if form == "ndjson" else "csv", batch=seen.batch,
            seconds=request.app.state.export_seconds,
        )  # fmt: skip
        blocks = copy.blocks()
        if form == "parquet":
            types = column_types(view.pipeline)
            kinds = {name: types[name] for name in question.columns}
            blocks = parquet_blocks(blocks, kinds, trust={**trust.to_json(), "words": line})
        comment = f"# {line}\r\n".encode() if form == "csv" and request.query_params.get("trust") == "yes" else b""
        name = f"{view.pipeline.name}-{view.pipeline.calendar.label(seen.interval).replace(':', '')}-batch-{seen.batch}.{form}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Overnight-Batch-Rows": str(seen.rows)}
        kept = None
        if form != "parquet" and not (comment or question.filters or question.sort):  # then it is the same file each time
            types = column_types(view.pipeline)
            columns = [(one, types[one]) for one in question.columns]
            file = name_of(view.pipeline.name, seen.batch, seen.publication, seen.published_at, form, columns=columns)
            require_rows(view.connection, view.pipeline, seen.batch)
            kept = files.find(file)
            blocks = files.keep(file, blocks, whole=lambda: copy.rows - (form == "csv") == seen.rows)
        found.append(_Download(copy, blocks, headers, comment, kept))
        return Answered(Health(status="ok"), [(trust, view.pipeline)])

    plain = edge.answer(request, prepare, pipeline=pipeline, keep=False)
    if not found:
        why = none[0][:1].upper() + none[0][1:]
        return problem(request, 404, f"Readers see no predictions here, so there is nothing to export. {why}")
    download = found[0]
    said = ("etag", "overnight-trust", "cache-control", "vary")
    headers = {name: plain.headers[name] for name in said if name in plain.headers} | download.headers
    if download.kept is not None:
        digest = base64.b64encode(bytes.fromhex(download.kept.sha256)).decode()
        return FileResponse(download.kept.path, media_type=TYPES[form], headers={**headers, "Repr-Digest": f"sha-256=:{digest}:"})
    place = _Place()
    if not place:
        return problem(request, 429, f"{AT_ONCE} exports are running already; try again soon.", headers={"Retry-After": "5"})
    return StreamingResponse(_stream(download, place), media_type=TYPES[form], headers=headers)


def _whole(question: Question) -> Question:
    return Question(question.columns, question.filters, sort=question.sort, descending=question.descending)


async def _stream(download: _Download, place: _Place) -> AsyncIterator[bytes]:
    """Hands blocks from the copying thread to the event loop; when the reader goes away, ends the work in Postgres."""
    blocks: queue.Queue[bytes | Exception | None] = queue.Queue(maxsize=3)
    gone = threading.Event()
    threading.Thread(target=_fill, args=(download.blocks, blocks, gone, place), name="export", daemon=True).start()
    try:
        if download.comment:
            yield download.comment
        while (block := await asyncio.to_thread(_take, blocks, gone)) is not None:
            if isinstance(block, Exception):
                raise block
            yield block
    finally:
        gone.set()
        threading.Thread(target=download.copy.cancel, name="cancel export", daemon=True).start()


def _fill(made: Iterable[bytes], blocks: "queue.Queue[bytes | Exception | None]", gone: threading.Event, place: _Place) -> None:
    last: Exception | None = None
    try:
        for block in made:
            if not _put(blocks, block, gone):
                return
    except Exception as error:  # whatever it is: an end without it would be a short file that looks whole
        last = error
    finally:
        place.leave()
        _put(blocks, last, gone)


def _take(blocks: "queue.Queue[bytes | Exception | None]", gone: threading.Event) -> bytes | Exception | None:
    """The next block; None at the end, and when the reader has gone while this waited."""
    while not gone.is_set():
        try:
            return blocks.get(timeout=0.2)
        except queue.Empty:
            continue
    return None


def _put(blocks: "queue.Queue[Any]", block: Any, gone: threading.Event) -> bool:
    """False when nobody takes blocks any more."""
    while not gone.is_set():
        try:
            blocks.put(block, timeout=0.2)
            return True
        except queue.Full:
            continue
    return False
