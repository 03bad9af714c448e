"""How a night is published, and where its stages run."""

from datetime import time, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from domain.spec.values import Change, Clock, Days, Duration, Memory, Share, Strict


def _whole_days(value: timedelta) -> timedelta:
    if value < timedelta(days=1):
        raise ValueError("nothing is kept for less than a day")
    return value


KeptFor = Annotated[Days, AfterValidator(_whole_days)]


RunnerKind = Literal["inline", "docker", "dask"]


class HoldIf(Strict):
    """What keeps predictions from readers until somebody looks: limits against the last published night."""

    rows_change: Change | None = Field(None, description="rows more or fewer, as a share; 150% and more are possible")
    flips: Share | None = Field(None, description="the share of keys of both nights whose prediction changed")
    psi: float | None = Field(None, gt=0, description="population stability index of what is predicted; over 0.25 is another one")


class Publish(Strict):
    deadline: Clock = Field(time(7), description="local time, after the interval's end, at which readers expect it")
    hold_if: HoldIf = HoldIf()


class Keep(Strict):
    """How long rows that readers no longer see are kept, before `overnight prune` and the flow `maintain` drop them."""

    batches: KeptFor | None = Field(None, description="rows that readers do not see, such as 400 days; none: for ever")
    rejected: KeptFor | None = Field(None, description="rows that were set aside, such as 90 days; none: for ever")
    training: Literal["aliased", "all", "none"] = Field(
        "aliased", description="the models whose inputs are kept: those that were ever champion or challenger, all, or none"
    )


class Limits(Strict):
    """What one stage's container may use; what needs more is stopped, and the sentence names the limit to raise."""

    memory: Memory = Field("2g", validate_default=True, description="such as 512m or 2g")
    cpus: float = Field(1.0, gt=0, le=256, description="cores, parts of one included")
    timeout: Duration = Field(timedelta(hours=1), description="such as 30m or 1h")


class Runner(Strict):
    """Where stages run."""

    kind: RunnerKind = Field(
        "inline", description="in the process, each in a container of its own, or spread over the workers of a Dask scheduler"
    )
    limits: Limits = Limits()
    reaches: tuple[Annotated[str, Field(pattern=r"^[\w.-]+(:\d+)?$")], ...] = Field(
        (),
        description="hosts beside the source's own that ingest's container may reach, those that an address leads on to, such as "
        "files.example.com or 10.0.0.5:8443; without a port 443 is meant",
    )
    address: str | None = Field(None, description="the Dask scheduler, such as tcp://10.0.0.5:8786; none: OVERNIGHT_DASK_ADDRESS")
