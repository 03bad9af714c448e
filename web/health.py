"""Whether the process lives, and whether it can read."""

from fastapi import APIRouter, Request
from fastapi.responses import Response
from psycopg import sql

from domain.errors import OvernightError
from store.reads.connection import fetch_one
from web.access import guest_of
from web.api import edge_of
from web.schemas import Health

router = APIRouter(tags=["operate"])
_READY = sql.SQL("SELECT count(*) AS pipelines FROM reading.pipeline")


@router.get("/healthz", response_model=Health, summary="The process answers; asks nothing of the database")
async def healthz() -> Response:
    return Response(Health(status="ok").model_dump_json(), media_type="application/json", headers={"Cache-Control": "no-store"})


@router.get("/readyz", response_model=Health, summary="The database answers and has the reading views")
def readyz(request: Request) -> Response:
    try:
        line = edge_of(request).reader.ask(lambda connection: fetch_one(connection, _READY))
        count = f"{line['pipelines'] if line else 0} pipelines" if guest_of(request.scope).pipelines is None else ""
        status, body = 200, Health(status="ready", detail=count)
    except OvernightError as error:
        status, body = 503, Health(status="not ready", detail=str(error))
    return Response(body.model_dump_json(), status, {"Cache-Control": "no-store"}, "application/json")
