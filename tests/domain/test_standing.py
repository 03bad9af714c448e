"""How a night stands in the eyes of a reader."""

from domain.standing import Attempt, NightState, judge_standing
from domain.words import RunState


def test_a_night_without_predictions_says_in_its_own_words_why() -> None:
    reason = "batch 1 published without predictions: no model yet: 1 of 3 published nights to learn from"
    attempt = Attempt(1, RunState.PUBLISHED, reason)
    stands = judge_standing(pipeline="shops", label="2024-01-01", attempt=attempt, predictions=False, rows=True, overdue=False)
    assert stands.state is NightState.LEARNING
    assert stands.why.endswith("to learn from; no model yet: 1 of 3 published nights to learn from.")
