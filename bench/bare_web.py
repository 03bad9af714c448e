"""The other side of `web_lookup_vs_bare`: the same framework, server, pool and statement, and nothing around them."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool
from pydantic import BaseModel

_STATEMENT = """
SELECT id, prediction, probability, model_version, carrier, distance, late FROM bench_web.history
WHERE batch = %s AND input_batch = %s AND id = %s::bigint ORDER BY id LIMIT 101
"""


class Prediction(BaseModel):
    id: int
    prediction: bool
    probability: float
    model_version: int
    carrier: str
    distance: float
    late: float | None


def create_bare(url: str, batch: int, input_batch: int) -> FastAPI:
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
            line = connection.execute(_STATEMENT, (batch, input_batch, key)).fetchone()
        if line is None:
            raise HTTPException(404)
        return line

    return app


if __name__ == "__main__":
    url, batch, input_batch, _, port = sys.argv[1:]
    uvicorn.run(create_bare(url, int(batch), int(input_batch)), port=int(port), log_level="warning", access_log=False)
