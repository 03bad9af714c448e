"""Features that are the answer in disguise: one that alone tells nearly all is pointed out, one that tells all is refused."""

from collections.abc import Mapping

from domain.errors import LeakRefused
from domain.words import Task
from tasks.cards import Trial
from tasks.context import Night
from tasks.evidence import alone
from tasks.learning import Lesson

# How much one feature may tell alone, from 0 to 1: for a yes/no question 2·AUC - 1, for a number the rank correlation.
NOTED = {Task.CLASSIFICATION: 0.9, Task.REGRESSION: 0.98}
REFUSED = {Task.CLASSIFICATION: 0.99, Task.REGRESSION: 0.9995}


def find_leaks(night: Night, lesson: Lesson, trial: Trial) -> dict[str, float]:
    """The features that alone tell nearly the whole answer on the held-out rows, with how much."""
    encoder = trial.twin[0]
    worth = alone(
        encoder.transform(lesson.features), encoder.columns_, encoder.category_places,
        trial.held.only(lesson.held[trial.counted]), ~lesson.held, lesson.answers,
    )  # fmt: skip
    limit = NOTED[night.pipeline.target.task]
    return dict(sorted(((name, value) for name, value in worth.items() if value >= limit), key=lambda pair: -pair[1]))


def refuse_leaks(night: Night, hints: Mapping[str, float], *, has_champion: bool, classes: bool = False) -> str:
    """The sentence why this may not be learned, empty when it may. Raises LeakRefused when there is no champion to go on
    with; features listed under `features.confirmed` are never refused. Of many classes one
    feature may well tell all (petals tell irises), so there it is named on the card and no more."""
    if classes:
        return ""
    limit, confirmed = REFUSED[night.pipeline.target.task], night.pipeline.features.confirmed
    found = [name for name, worth in hints.items() if worth >= limit and name not in confirmed]
    if not found:
        return ""
    why = (
        f"the feature {found[0]!r} alone tells {night.pipeline.target.column} almost perfectly, so it is probably known only "
        f"afterwards; take it out of features, or list it under features.confirmed"
    )
    if not has_champion:
        raise LeakRefused(why, hint=f"overnight check {night.pipeline.name}")
    return why
