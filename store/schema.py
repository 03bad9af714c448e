"""The ledger's tables as SQLAlchemy knows them, for the statements of this package.

The migrations make the tables; a test compares the two. Columns that only the database fills or reads are left out.
"""

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION, JSONB
from sqlalchemy.types import TypeEngine

metadata = MetaData(schema="overnight")


def _moment(name: str) -> Column[Any]:
    return Column(name, DateTime(timezone=True))


def _id() -> Column[int]:
    return Column("id", BigInteger, primary_key=True)


def _column(name: str, kind: type[TypeEngine[Any]] | TypeEngine[Any] = Text) -> Column[Any]:
    return Column(name, kind)


def _interval() -> tuple[Column[Any], ...]:
    return _column("pipeline"), _moment("interval_start"), _moment("interval_end")


pipeline = Table(
    "pipeline", metadata, Column("name", Text, primary_key=True), _column("title"), _column("owner"),
    _column("definition", JSONB), _column("expectations", JSONB), _moment("registered_at"),
    _column("fault"),
)  # fmt: skip
run = Table(
    "run", metadata, _id(), *_interval(), _column("state"), _column("reason"), _column("trigger"), _column("holder", JSONB),
    _column("hindsight", Boolean), _column("input_batch", BigInteger), _column("model", BigInteger),
    _column("prediction_batch", BigInteger), _moment("started_at"), _moment("ended_at"),
)  # fmt: skip
stage_run = Table(
    "stage_run", metadata, _id(), _column("run", BigInteger), _column("stage"), _column("state"),
    _column("rows_in", BigInteger), _column("rows_out", BigInteger), _column("rows_rejected", BigInteger),
    _column("fingerprint"), _column("reason"), _column("detail", JSONB), _moment("started_at"), _moment("ended_at"),
)  # fmt: skip
model = Table(
    "model", metadata, _id(), _column("pipeline"), _column("version", Integer), _moment("trained_for"), _moment("trained_from"),
    _moment("trained_until"), _column("batches", ARRAY(BigInteger)), _column("rows", BigInteger), _column("task"),
    _column("fingerprint"), _column("metrics", JSONB), _column("params", JSONB), _column("card", JSONB),
    _column("libraries", JSONB), _column("trusted_types", JSONB), _column("artifact", LargeBinary), _column("sha256"),
    _column("run", BigInteger), _moment("created_at"), _column("out_of_fold", Boolean),
)  # fmt: skip
batch = Table(
    "batch", metadata, _id(), *_interval(), _column("kind"), _column("state"), _column("rows", BigInteger),
    _column("rejected", BigInteger), _column("columns", ARRAY(Text)), _column("content_hash"), _column("fingerprint"),
    _column("contract_hash"), _column("source", JSONB), _column("code"), _column("image"), _column("input_batch", BigInteger),
    _column("model", BigInteger), _column("hindsight", Boolean), _column("run", BigInteger), _moment("created_at"),
    _moment("sealed_at"), _column("hindsight_rows", BigInteger),
)  # fmt: skip
verdict = Table(
    "verdict", metadata, _id(), _column("batch", BigInteger), _column("run", BigInteger), _column("outcome"),
    _column("reason"), _column("suite_hash"), _column("results", JSONB), _moment("at"),
)  # fmt: skip
alias_move = Table(
    "alias_move", metadata, _id(), _column("pipeline"), _column("alias"), _column("model", BigInteger),
    _column("previous", BigInteger), _moment("effective_from"), _column("who"), _column("why"), _column("evidence", JSONB),
    _moment("at"),
)  # fmt: skip
publication = Table(
    "publication", metadata, _id(), *_interval(), _column("kind"), _column("batch", BigInteger),
    _column("previous", BigInteger), _column("run", BigInteger), _column("who"), _column("why"), _moment("at"),
)  # fmt: skip
pointer = Table(
    "pointer", metadata, *_interval(), _column("kind"), _column("batch", BigInteger), _column("publication", BigInteger),
)  # fmt: skip
quality = Table(
    "quality", metadata, _id(), _column("pipeline"), _moment("interval_start"), _column("batch", BigInteger),
    _column("model", BigInteger), _column("labels", BigInteger), _column("metric"), _column("value", DOUBLE_PRECISION),
    _column("dummy", DOUBLE_PRECISION), _column("rows", BigInteger), _column("run", BigInteger), _moment("at"),
)  # fmt: skip
estimate = Table(
    "estimate", metadata, _id(), _column("pipeline"), _moment("interval_start"), _column("batch", BigInteger),
    _column("model", BigInteger), _column("metric"), _column("value", DOUBLE_PRECISION), _column("low", DOUBLE_PRECISION),
    _column("high", DOUBLE_PRECISION), _column("rows", BigInteger), _column("run", BigInteger), _moment("at"),
)  # fmt: skip
profile = Table("profile", metadata, Column("model", BigInteger, primary_key=True), _column("document", JSONB), _moment("at"))
figures = Table("figures", metadata, _id(), _column("batch", BigInteger), _column("document", JSONB), _moment("at"))
drift = Table(
    "drift", metadata, _id(), _column("pipeline"), _moment("interval_start"), _column("batch", BigInteger),
    _column("model", BigInteger), _column("kind"), _column("feature"), _column("psi", DOUBLE_PRECISION),
    _column("distance", DOUBLE_PRECISION), _column("missing", DOUBLE_PRECISION), _column("missing_then", DOUBLE_PRECISION),
    _column("rows", BigInteger), _column("run", BigInteger), _moment("at"),
)  # fmt: skip
pruning = Table(
    "pruning", metadata, _id(), _column("batch", BigInteger), _column("part"), _column("rows", BigInteger),
    _column("bytes", BigInteger), _column("who"), _column("why"), _moment("at"),
)  # fmt: skip
action = Table(
    "action", metadata, _id(), _column("who"), _column("what"), _column("pipeline"), _moment("interval_start"),
    _column("detail", JSONB), _moment("at"),
)  # fmt: skip
token = Table(
    "token", metadata, _id(), _column("name"), _column("secret_hash", LargeBinary), _column("pipelines", ARRAY(Text)),
    _column("who"), _moment("created_at"), _moment("expires_at"), _moment("revoked_at"),
)  # fmt: skip

now = func.clock_timestamp
