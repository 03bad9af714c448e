"""`nightly`: one pipeline, one night, and before it the nights that have late rows or were missed."""

from datetime import UTC, datetime

from prefect import flow

from domain.planning import LATE_ROWS, ModelMode
from domain.report import NightReport
from flows.artifacts import Showing
from flows.beginning import begun_or_told
from flows.nights import late_nights, missed_nights, take_nights
from flows.occasion import asks_to_tell, choose_interval, holder, is_cut_off, name_night, scheduled_moment, trigger
from flows.outcome import announce, told_as_state
from flows.policy import KEEPS_NOTHING
from flows.stages import stage_tasks
from infra.settings import load_settings
from tasks.expectations import allow_preload
from tasks.late import describe_retakes
from tasks.night import take_night
from tasks.prepare import prepare
from tasks.runners import runner_for
from tasks.telling import tell_everybody


@flow(name="nightly", **KEEPS_NOTHING)
@told_as_state(called=name_night)
@begun_or_told
def nightly(
    pipeline: str, interval: str | None = None, model: ModelMode = "as-due", tell: bool = False
) -> NightReport | str:  # fmt: skip
    """Takes `pipeline` through its night.

    Args:
        pipeline: the name of a folder under deployments/
        interval: the night, such as 2013-01-20; without it, the one that the schedule's tick is for
        model: which model scores: as-due (trained when due), as-was (that night's champion), as-if (trained for that night) or
            hindsight
        tell: tell people at once when it is held or fails, as of a night of the schedule
    """
    settings = load_settings()
    (definition,) = prepare(settings, pipeline)
    if definition.pipeline.runner.kind == "inline":
        allow_preload()
    night = choose_interval(definition, interval, moment=scheduled_moment())
    tonight = missed_nights(definition, night, settings, named=interval is not None)
    late = late_nights(definition, tonight, night, settings)
    retaken = take_nights(nightly, definition, late, settings, trigger=LATE_ROWS)
    take_nights(nightly, definition, tonight.missed, settings, trigger="catch-up")
    if not tonight.takes_own:
        return tonight.why
    stages = stage_tasks(settings, call=runner_for(definition.pipeline, settings))
    also = describe_retakes(definition, retaken)
    with Showing(definition, night, settings) as showing:
        call, who = showing.after(stages), holder()
        report = take_night(
            definition, night, settings, trigger=trigger(), call=call, holder=who, model=model, also=also, is_cut_off=is_cut_off
        )
        showing.end(report)
    announce(definition, report)
    tell_everybody(definition, report, settings, now=datetime.now(UTC), trigger=trigger(), asked=tell or asks_to_tell())
    return report
