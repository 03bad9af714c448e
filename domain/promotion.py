"""Whether to train tonight, and whether what was trained becomes the champion. Pure: figures in, a decision out."""

from dataclasses import dataclass
from datetime import datetime, timedelta

HIGHER_IS_BETTER = {"roc_auc": True, "accuracy": True, "f1": True, "r2": True, "log_loss": False, "rmse": False, "mae": False}


@dataclass(frozen=True, slots=True)
class Decision:
    """`yes` or no, with the sentence that goes into the ledger."""

    yes: bool
    why: str


def decide_training(
    *, night: datetime, last_trained_for: datetime | None, retrain_after: timedelta | None, nights: int, needed: int
) -> Decision:
    """Whether the night that starts at `night` should train.

    `last_trained_for` is the start of the newest night, at or before this one, that trained; `nights` counts the
    published input nights inside the window.
    """
    if nights < needed:
        return Decision(False, f"{nights} of {needed} published nights to learn from")
    if last_trained_for is None:
        return Decision(True, "there is no model yet")
    age = night - last_trained_for
    if retrain_after is None:
        return Decision(False, "retrain: never")
    if age >= retrain_after and age > timedelta(0):
        return Decision(True, f"the newest model was trained {age.days} days before this night")
    return Decision(False, f"the newest model was trained {age.days} days before this night, due after {retrain_after.days}")


def decide_promotion(
    *,
    metric: str,
    challenger: float,
    champion: float | None,
    dummy: float,
    at_least: float | None = None,
    gain: float = 0.0,
) -> Decision:
    """Whether the challenger becomes champion; all three figures are measured on the same held-out rows.

    A challenger must beat the dummy, meet the absolute limit, and be better than the champion by at least `gain`
    (equal is enough when gain is 0, so a fresher model of the same quality wins).
    """
    higher = HIGHER_IS_BETTER[metric]
    sign = 1.0 if higher else -1.0
    if sign * (challenger - dummy) <= 0:
        return Decision(False, f"{metric} {challenger:.4f} is no better than the dummy's {dummy:.4f}")
    if at_least is not None and sign * (challenger - at_least) < 0:
        side = "below" if higher else "above"
        return Decision(False, f"{metric} {challenger:.4f} is {side} the limit {at_least:g}")
    if champion is None:
        return Decision(True, f"{metric} {challenger:.4f} against the dummy's {dummy:.4f}; there was no champion")
    difference = sign * (challenger - champion)
    verdict = f"{metric} {challenger:.4f} against the champion's {champion:.4f}, gain {difference:+.4f}, asked {gain:+g}"
    return Decision(difference >= gain, verdict)
