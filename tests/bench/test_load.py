"""Readers under load are told nothing wrong: what `python -m bench.load` does for a quarter of an hour, for half a minute."""

import pytest

from bench.load.__main__ import measure

pytestmark = pytest.mark.slow  # half a minute of load, and the nights before it


def test_no_answer_is_wrong_while_nights_are_published_postgres_restarts_and_a_worker_is_killed() -> None:
    found = measure(20, workers=2, connections=4, pause=1.0)
    assert found["broke"] == []
    assert found["answers"] > 200
    assert found["pointer_moves"] >= 3
    assert found["workers_alive"] == 2
    assert set(found["kinds"]) == {"look-up", "rows", "key", "page", "file"}
