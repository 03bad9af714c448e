"""How a night, and with it a pipeline, stands in the eyes of a reader: one state, one sentence, one thing to do.

Pure: a calendar, what the ledger holds, and a clock in; words out. The web, and whoever else tells people, use these words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from domain.interval import Calendar, Interval
from domain.trust import Freshness, TrustLine, tell_held, tell_hindsight, tell_question
from domain.words import RunState

WITHOUT_PREDICTIONS = " published without predictions: "  # in a night's sentence, before why no model scored it
HELD_BY = "held: by "  # begins the reason of a night that a person holds, before who and why


class NightState(StrEnum):
    """What readers see of one night. `held`: nothing, or what was published before the word; `stopped`: its process is gone and
    nobody has taken the night over yet; `waived`: there is nothing of it, and somebody has said that there need not be."""

    PUBLISHED = "published"
    LEARNING = "learning"
    HELD = "held"
    FAILED = "failed"
    STOPPED = "stopped"
    RUNNING = "running"
    WAITING = "waiting"
    MISSING = "missing"
    WAIVED = "waived"


@dataclass(frozen=True, slots=True)
class Attempt:
    """The newest run of a night that tells something. `alive` says whether its process still holds the night's lock."""

    run: int
    state: RunState
    reason: str
    alive: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """`todo` is empty when there is nothing to do."""

    state: NightState
    why: str
    todo: str = ""


def judge_standing(
    *, pipeline: str, label: str, attempt: Attempt | None, predictions: bool, rows: bool, overdue: bool, waived: str = "",
    held: str | None = None,
) -> Standing:  # fmt: skip
    """How one night stands. `predictions` and `rows`: whether readers see a prediction and an input batch of it; `waived`:
    who has left it out on purpose, and why; `held`: why what readers see was held after it was published."""
    again = f"overnight run {pipeline} --interval {label}"
    if held is not None:
        why = f"Published, and held since: {bare(held)}; readers go on seeing it."
        why, _ = _after_publication(why, attempt, again)
        return Standing(NightState.HELD, why, _mend(held, pipeline, label))
    if predictions or rows:
        state = NightState.PUBLISHED if predictions else NightState.LEARNING
        what = "Published." if predictions else f"Its rows are published to learn from; {_why_learning(attempt)}"
        return Standing(state, *_after_publication(what, attempt, again))
    if waived and not (attempt and attempt.state is RunState.RUNNING):
        return Standing(NightState.WAIVED, sentence(f"left out on purpose, {waived}"))
    if attempt is not None and attempt.state is RunState.HELD:
        return Standing(NightState.HELD, sentence(bare(attempt.reason)), _mend(attempt.reason, pipeline, label))
    if attempt is None and overdue:
        return Standing(NightState.MISSING, "The deadline has passed and no run was ever started for this night.", again)
    if attempt is None:
        return Standing(NightState.WAITING, "No run has started for this night yet, and its deadline has not passed.")
    return _unpublished(attempt, again)


def _mend(held: str, pipeline: str, label: str) -> str:
    """What ends a hold: a person's goes by a person's word, and not by another run."""
    if held.startswith(HELD_BY):
        return f"overnight release {pipeline} {label} --why …"
    return f"repair the source, then overnight run {pipeline} --interval {label}"


def bare(held: str) -> str:
    """Why, without the word before it and the stop behind it."""
    return held.removeprefix("held: ").rstrip(". ")


def _why_learning(attempt: Attempt | None) -> str:
    """What the night itself said of why nothing scored it."""
    said = attempt.reason.partition(WITHOUT_PREDICTIONS)[2] if attempt is not None else ""
    return (said or "no model may score this night yet").rstrip(". ") + "."


def _unpublished(attempt: Attempt, again: str) -> Standing:
    if attempt.state is RunState.RUNNING and attempt.alive:
        return Standing(NightState.RUNNING, f"Run {attempt.run} is under way.")
    if attempt.state in (RunState.RUNNING, RunState.CRASHED):
        why = f"The process of run {attempt.run} is gone and left the night unfinished; what was sealed is kept."
        return Standing(NightState.STOPPED, why, again)
    if attempt.state is RunState.FAILED:
        return Standing(NightState.FAILED, sentence(attempt.reason), again)
    return Standing(NightState.MISSING, "Its runs ended without anything to publish.", again)


def _after_publication(what: str, attempt: Attempt | None, again: str) -> tuple[str, str]:
    if attempt is None or attempt.state in (RunState.PUBLISHED, RunState.SKIPPED):
        return what, ""
    if attempt.state is RunState.RUNNING and attempt.alive:
        return f"{what} Run {attempt.run} takes the night again.", ""
    if attempt.state in (RunState.RUNNING, RunState.CRASHED):
        return f"{what} A newer run stopped without a word; readers keep what was published.", again
    ended = "was held" if attempt.state is RunState.HELD else "failed"
    return f"{what} A newer run {ended} ({bare(attempt.reason)}); readers keep what was published.", again


def explain_trust(
    *, freshness: Freshness, calendar: Calendar, published: Interval | None, learned: Interval | None,
    question: Standing | None, question_label: str, gaps: Sequence[Interval] = (), held: str | None = None,
) -> str:  # fmt: skip
    """The sentence beside a pipeline's trust line: why it is as it is, and what readers see meanwhile.

    `published` and `learned` are the newest nights with predictions and with rows, and `held` says why what readers see was
    held since; `question` is how the night in question stands: the first that was missed, or else the newest that was tried.
    `gaps` are the spans between published nights of which nothing is published, oldest first.
    """
    seen = calendar.label(published) if published else ""
    since = f", which is held: {bare(held)}" if held is not None else ""
    keeps = f"Readers keep the night of {seen}{since}." if published else "There is nothing to read yet."
    trouble = question is not None and question.state in (NightState.HELD, NightState.FAILED, NightState.STOPPED)
    if freshness.late_since is not None or trouble:
        return ("" if question_label == seen else _tell(question, question_label)) + keeps
    if published is None and learned is not None:
        return f"Learning: rows are published up to the night of {calendar.label(learned)}, and no model may score yet."
    if published is None:
        return "Nothing was ever published, and nothing is due yet."
    return (_tell_gaps(gaps, calendar) or "Every night that was due is published.") + _tell_left_out(freshness.left_out)


def _tell_gaps(gaps: Sequence[Interval], calendar: Calendar) -> str:
    missing = sum(calendar.distance(calendar.containing(gap.start), calendar.containing(gap.end)) for gap in gaps)
    if missing < 1:
        return ""
    first = calendar.label(calendar.containing(gaps[0].start))
    nights = f"1 earlier night is not: {first}" if missing == 1 else f"{missing} earlier nights are not, first {first}"
    return f"The newest night that was due is published; {nights}."


def _tell_left_out(nights: int) -> str:
    """That what readers see is the newest by somebody's word, not by the calendar."""
    if nights == 0:
        return ""
    return f" {'The night' if nights == 1 else f'{nights} nights'} after it {'is' if nights == 1 else 'are'} waived."


def _tell(standing: Standing | None, label: str) -> str:
    if standing is None or standing.state in (NightState.WAITING, NightState.PUBLISHED):
        return ""
    return f"The night of {label} {_IS[standing.state]}: {standing.why[0].lower()}{standing.why[1:]} "


_IS = {
    NightState.LEARNING: "has no predictions",
    NightState.HELD: "is held",
    NightState.FAILED: "failed",
    NightState.STOPPED: "stopped",
    NightState.RUNNING: "is being taken",
    NightState.MISSING: "is missing",
    NightState.WAIVED: "is waived",
}


def judge_learning(published: Interval | None, learned: Interval | None) -> Interval | None:
    """The night by which lateness is judged: the newest with predictions, or, before there ever were any, with rows."""
    return published or learned


def sentence(text: str) -> str:
    """Starts with a capital and ends with a stop."""
    bare = text.strip()
    if not bare:
        return "No reason was given."
    return bare[0].upper() + bare[1:] + ("" if bare[-1] in ".?!" else ".")


def moment(when: datetime, calendar: Calendar) -> str:
    """A moment as people of the pipeline's time zone say it: `2013-02-05 07:00 EST`."""
    return when.astimezone(calendar.timezone).strftime("%Y-%m-%d %H:%M %Z")


@lru_cache(maxsize=256)
def told_trust(line: TrustLine, calendar: Calendar) -> tuple[str, ...]:
    """The trust line in the words that stand on every page, in the `Overnight-Trust` header and in exported files."""
    night = f"{line.pipeline} {calendar.label(line.interval)}" if line.interval else f"{line.pipeline} no night"
    batch = f"batch {line.batch}" if line.batch is not None else "no batch"
    model = f"model {line.model_version}" if line.model_version is not None else "no model"
    published = f"published {moment(line.published_at, calendar)}" if line.published_at else "not published"
    fresh = f"late since {moment(line.late_since, calendar)}" if line.late_since else "fresh"
    verdict = tell_held(line.held) if line.held else line.verdict or "no verdict"
    marks = tell_hindsight(line.hindsight_rows, line.rows), tell_question(line.question)
    return (night, batch, model, published, fresh, verdict, *filter(None, marks))
