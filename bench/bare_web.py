"""The other side of `web_lookup_vs_bare`: the same framework, server and statement, and nothing around them.

`express` asks over the sessions that our own look-ups use, from the event loop; `pool` as FastAPI's and psycopg's documentation
show it, from a thread.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool
from pydantic import BaseModel

from store.reads.connection import Reader
from store.reads.express import Express

_STATEMENT = """
SELECT id, prediction, probability, model_version, carrier, distance, late FROM bench_web.history
WHERE batch = {} AND input_batch = {} AND id = %s::bigint ORDER BY id LIMIT 101
"""


class Prediction(BaseModel):
    id: int
    prediction: bool
    probability: float
    model_version: int
    carrier: str
    distance: float
    late: float | None


def create_express(url: str, statement: str) -> FastAPI:
    express = Express(Reader(url))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        express.open()
        yield
        await express.close()

    app = FastAPI(lifespan=lifespan)

    @app.get("/{key}", response_model=Prediction)
    async def look_up(key: int) -> Any:
        if not (lines := await express.ask(statement, [key])):
            raise HTTPException(404)
        return lines[0]

    return app


def create_pool(url: str, statement: str) -> FastAPI:
    pool = ConnectionPool(url, min_size=1, max_size=8, open=False, kwargs={"autocommit": True, "row_factory": dict_row})

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        pool.open()
        yield
        pool.close()

    app = FastAPI(lifespan=lifespan)

    @app.get("/{key}", response_model=Prediction)
    def look_up(key: int) -> Any:
        with pool.connection() as connection:
            line = connection.execute(statement.encode(), (key,)).fetchone()
        if line is None:
            raise HTTPException(404)
        return line

    return app


if __name__ == "__main__":
    kind, url, batch, input_batch, _, port = sys.argv[1:]
    statement = _STATEMENT.format(int(batch), int(input_batch))
    app = create_express(url, statement) if kind == "express" else create_pool(url, statement)
    uvicorn.run(app, port=int(port), log_level="warning", access_log=False)
