"""Whether to train tonight, on which nights to judge, and whether what was trained becomes the champion. Pure: figures
in, a decision out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.interval import Interval
from domain.words import counted

HIGHER_IS_BETTER = {"roc_auc": True, "accuracy": True, "f1": True, "r2": True, "log_loss": False, "rmse": False, "mae": False}
NO_CHAMPION = "there was no champion to compare with"


@dataclass(frozen=True, slots=True)
class Decision:
    """`yes` or no, with the sentence that goes into the ledger."""

    yes: bool
    why: str


def decide_training(
    *,
    night: datetime,
    last_trained_for: datetime | None,
    retrain_after: timedelta | None,
    nights: int,
    needed: int,
    asked: bool = False,
    changed: str = "",
    drifted: str = "",
    unusable: str = "",
) -> Decision:
    """Whether the night that starts at `night` should train.

    `last_trained_for` is the start of the newest night, at or before this one, that trained; `nights` counts the
    published input nights inside the window; `changed` says what differs from what the newest model learned, as the
    end of a sentence, and `drifted` how far its predictions have moved past the limit; `unusable` says why the champion cannot
    be loaded here, or why nobody can tell which rows it has learned from. All may be empty.
    """
    if nights < needed:
        return Decision(False, f"{nights} of {needed} published nights to learn from")
    if asked:
        return Decision(True, "training was asked for")
    if last_trained_for is None:
        return Decision(True, "there is no model yet")
    if changed:
        return Decision(True, f"the newest model was trained before {changed}")
    if unusable:
        return Decision(True, unusable)
    age = night - last_trained_for
    trained = f"the newest model was trained {counted(age.days, 'day')} before this night"
    if drifted and age > timedelta(0):
        return Decision(True, drifted)
    if retrain_after is None:
        return Decision(False, "no training is due by age, and nothing else asks for it")
    if age >= retrain_after and age > timedelta(0):
        return Decision(True, trained)
    return Decision(False, f"{trained}, due after {retrain_after.days}")


def count_held_out(nights: Sequence[Interval], *, holdout: timedelta) -> int:
    """How many of the newest nights are kept for judging: those within `holdout` of the newest end, never more than a
    third of all, and at least one. A night counts by its middle, so that a change of clocks adds or drops none."""
    newest = nights[-1].end
    within = sum(night.start + (night.end - night.start) / 2 >= newest - holdout for night in nights)
    return max(1, min(within, len(nights) // 3))


def decide_promotion(
    *,
    metric: str,
    challenger: float | None,
    champion: float | None,
    dummy: float | None,
    at_least: float | None = None,
    gain: float = 0.0,
    relative: float = 0.0,
    certain: bool = False,
    interval: tuple[float, float] | None = None,
    uncompared: str = NO_CHAMPION,
) -> Decision:
    """Whether the challenger becomes champion; all three figures are measured on the same held-out rows.

    A challenger must beat the dummy, meet the absolute limit, and be better than the champion by at least `gain`
    (equal is enough when gain is 0, so a fresher model of the same quality wins), or by `relative` times the champion's
    figure where that is more. With `certain`, the low end of `interval`, the paired bootstrap interval of the difference,
    must reach it too. A metric that the held-out rows
    cannot give (one class only) promotes nothing. `uncompared` says why there is no figure of a champion's.
    """
    if challenger is None or dummy is None:
        return Decision(False, f"{metric} cannot be computed on the held-out rows, so nothing is promoted")
    higher = HIGHER_IS_BETTER[metric]
    sign = 1.0 if higher else -1.0
    if sign * (challenger - dummy) <= 0:
        return Decision(False, f"{metric} {challenger:.4f} is no better than the dummy's {dummy:.4f}")
    if at_least is not None and sign * (challenger - at_least) < 0:
        side = "below" if higher else "above"
        return Decision(False, f"{metric} {challenger:.4f} is {side} the limit {at_least:g}")
    if champion is None:
        return Decision(True, f"{metric} {challenger:.4f} against the dummy's {dummy:.4f}; {uncompared}")
    difference, asked = sign * (challenger - champion), max(gain, relative * abs(champion)) if relative else gain
    verdict = f"{metric} {challenger:.4f} against the champion's {champion:.4f}, gain {difference:+.4f}, asked {asked:+g}"
    if interval is not None:
        verdict += f" (95% between {interval[0]:+.4f} and {interval[1]:+.4f})"
    sure = not certain or (interval is not None and interval[0] >= asked)
    return Decision(difference >= asked and sure, verdict)


def tell_dummy(
    metric: str, own: float | None, *, dummy: float | None, interval: Sequence[float] | None = None
) -> tuple[bool, str]:  # fmt: skip
    """Whether a model is clearly better than the dummy, and that in plain words. `interval` is the figure's own, of 95%."""
    if own is None or dummy is None:
        return False, f"{metric} cannot be computed on its held-out rows, so nobody can say whether it is better than the dummy."
    sign, against = 1.0 if HIGHER_IS_BETTER.get(metric, True) else -1.0, f"{metric} {own:.4f} against the dummy's {dummy:.4f}"
    if sign * (own - dummy) <= 0:
        return False, f"It is no better than the dummy, which looks at no feature: {against}."
    if interval is None:
        return False, f"It is better than the dummy, which looks at no feature, but nobody can say how surely: {against}."
    low, high = interval
    between = f"{against}, 95 % between {low:.4f} and {high:.4f}"
    if sign * ((low if sign > 0 else high) - dummy) <= 0:
        return False, f"It is not clearly better than the dummy, which looks at no feature: {between}."
    return True, f"It is clearly better than the dummy, which looks at no feature: {between}."


def tell_realised(figures: Sequence[tuple[float, float]], metric: str) -> tuple[bool, str]:
    """The same of realised figures, one for each night beside the dummy's; no words where there are none."""
    if not figures:
        return True, ""
    sign = 1.0 if HIGHER_IS_BETTER.get(metric, True) else -1.0
    lost = sum(sign * (own - dummy) <= 0 for own, dummy in figures)
    if len(figures) == 1:
        return not lost, f"On the one night whose answers have arrived it was {'no better' if lost else 'better'} than the dummy."
    if not lost:
        return True, f"On all {len(figures)} nights whose answers have arrived it was better than the dummy."
    return 2 * lost < len(figures), (
        f"On {lost} of the {len(figures)} nights whose answers have arrived it was no better than the dummy."
    )
