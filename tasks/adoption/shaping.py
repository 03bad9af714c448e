"""Which columns become features of which kind, and the rest of what is to be said of a notebook."""

from collections.abc import Mapping

from tasks.adoption.factory import Model
from tasks.adoption.finding import Carried, Finding
from tasks.adoption.values import Frame
from tasks.adoption.walk import Walk
from tasks.onboarding.propose import Proposal
from tasks.onboarding.roles import Role
from tasks.onboarding.table import Seen

_BACK = "to have it, list it under features"


def shape_roles(
    walk: Walk, proposal: Proposal, frame: Frame, carried: Carried, *, seen_of: Mapping[str, Seen | None], model: Model | None
) -> tuple[dict[str, Role], list[str]]:
    """(a role for each column of the contract, the columns that the hook gives back by the notebook's names)."""
    kinds = {**(model.kinds if model else {}), **frame.kinds}
    reads, made = (
        {name for step in carried.steps for name in step.reads},
        {name for step in carried.steps for name in step.writes},
    )
    roles: dict[str, Role] = {}
    for column in proposal.table.columns:
        role = proposal.roles[column.name]
        roles[column.name] = (
            role if not role.is_feature or column is proposal.time else Role("unused", "the notebook leaves it out")
        )
    kept = [name for name in carried.columns if name in made]
    for name in carried.given:
        seen = seen_of.get(name)
        if seen is None:
            continue
        used = _kind(walk, proposal, seen, name, kinds=kinds, frame=frame, hooked=bool(carried.steps), read=name in reads)
        if used:
            roles[seen.name] = Role(used)
            kept += [name] if name in carried.columns and name not in kept else []
    return roles, [name for name in carried.columns if name in kept]


def _kind(
    walk: Walk, proposal: Proposal, seen: Seen, name: str, *, kinds: Mapping[str, str], frame: Frame, hooked: bool, read: bool
) -> str:
    """As what a column is listed; empty where it is left out."""
    role, plain = proposal.roles[seen.name], "datetime" if seen.is_moment else "numeric" if seen.is_number else "categorical"
    if read:
        return plain
    if not role.is_feature:
        asked = frame.chosen and role.flag == "identifier"
        if not asked:
            walk.tell("left", None, f"{name}: {role.why or 'it names the rows'}; left out ({_BACK})")
        return plain if asked else ""
    if role.use == "text":
        if hooked:
            walk.tell(
                "left",
                None,
                f"{name}: columns of words are learned by features.text alone, which goes without features.py; left out",
            )
        return "" if hooked else "text"
    return "categorical" if kinds.get(name) == "categorical" and not seen.is_moment else role.use


def tell_rest(walk: Walk, proposal: Proposal, found: Finding, carried: Carried) -> None:
    """What belongs to no single statement."""
    if found.others:
        walk.tell("left", None, f"also tried there: {', '.join(found.others)}; one of them is taken by changing model.estimator")
    for read in walk.reads:
        if read is not found.read and (read.path, read.query) != (found.read.path, found.read.query):
            walk.tell(
                "left",
                read.place,
                f"{read.path or read.query or read.how} is read there too; no model learns from it, so it is no source",
            )
    if carried.answer is not None and carried.answer.changed:
        walk.tell("left", None, f"the notebook predicts {carried.answer.changed} of {proposal.goal.column.spelled}: here "
                  f"the number itself is "
                  "learned, and shown")  # fmt: skip
    _tell_time(walk, proposal)


def _tell_time(walk: Walk, proposal: Proposal) -> None:
    """Rows that follow each other in time were set apart by chance."""
    moments = [column.spelled for column in proposal.table.columns if column.is_moment]
    by_chance = [split for split in walk.splits if split.by_chance]
    if not by_chance or proposal.time is not None or not (moments or walk.ordered):
        return
    column = moments[0] if moments else walk.ordered[0][1]
    walk.tell("leak", by_chance[0].place, f"rows were set apart by chance, though {column} says when each happened, so the "
              f"model was judged on "
              f"days that it had seen around; with --time {column} models are judged on what comes later")  # fmt: skip
