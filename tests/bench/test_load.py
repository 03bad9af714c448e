"""Readers under load are told nothing wrong: what `python -m bench.load` does for a quarter of an hour, for a few seconds."""

import json
from typing import Any

import pytest

from bench.load.__main__ import measure
from bench.load.asking import Answered, Record
from bench.load.truth import Truth

ROW = {"shop": "s000001", "prediction": True, "stock": 7}


@pytest.mark.slow(35)  # because nights are taken, and readers ask for half a minute
def test_no_answer_is_wrong_while_nights_are_published_postgres_restarts_and_a_worker_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The bench holds the web to a second, on a machine of its own; here it has neighbours, and stands still now and then.
    for name, seconds in {"__main__.CUT_FOR": 4.0, "__main__.AWAY_FOR": 8.0, "asking.LATEST_AT_MOST": 5.0}.items():
        monkeypatch.setattr(f"bench.load.{name}", seconds)
    found = measure(20, workers=2, connections=4, pause=1.0)
    assert found["broke"] == []
    assert found["answers"] > 200
    assert found["pointer_moves"] >= 3
    assert found["workers_alive"] == 2
    assert set(found["kinds"]) == {"look-up", "rows", "key", "page", "file"}


@pytest.fixture
def record() -> Record:
    """Batch 4 was published at 10 seconds, batch 6 at 20."""
    truth = Truth("", "load")
    truth._rows = {4: {"s000001": ROW}, 6: {"s000001": {**ROW, "stock": 8}}}
    truth.moves = [(10.0, 4), (20.0, 6)]
    return Record(truth)


def answer(batch: int, row: dict[str, Any], *, at: float = 15.0, tag: str = 'W/"p1"', total: int = 1) -> Answered:
    body = json.dumps({"trust": {"batch": batch}, "rows": [row], "total": total}).encode()
    return Answered("/rows", at, 200, {"etag": tag, "overnight-trust": f"load; batch {batch}; model 1"}, body)


def test_the_right_row_of_the_right_batch_is_not_blamed(record: Record) -> None:
    record.check("look-up", answer(4, ROW), "")
    record.check("look-up", answer(6, {"shop": "s000001", "stock": 8}, at=21.0, tag='W/"p2"'), "")
    record.check("look-up", answer(4, ROW, at=20.5), "")
    assert record.wrong == []
    assert record.behind == 0.5


@pytest.mark.parametrize(
    ("given", "why"),
    [(answer(4, {**ROW, "stock": 8}), "is not"),  # a row of batch 6 under the trust line of batch 4
     (answer(4, ROW, total=2), "2 rows"),
     (answer(4, ROW, at=21.5), "1.50 s after another"),
     (Answered("/rows", 15.0, 200, {}, b'{"trust": {"batch": 4}, "rows": [], "total": 1}'), "no trust line"),
     (Answered("/rows", 15.0, 304, {}, b""), "304 for a tag that was never given")],
)  # fmt: skip
def test_what_nobody_may_be_told_is_blamed(record: Record, given: Answered, why: str) -> None:
    record.check("look-up", given, "")
    assert any(why in sentence for sentence in record.wrong)


def test_one_tag_with_two_answers_is_blamed_and_an_error_is_no_wrong_answer(record: Record) -> None:
    record.check("look-up", answer(4, ROW), "")
    record.check("look-up", answer(4, {"shop": "s000001"}), "")
    assert len(record.wrong) == 1
    record.check("look-up", Answered("/rows", 15.0, 503, {}, b""), "")
    assert (len(record.wrong), len(record.errors)) == (1, 1)
