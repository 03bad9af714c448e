"""The one exception tree.

    OvernightError                      a sentence, a place, and the command that helps
    ├── Retryable                       the machine's fault: trying again may help
    │   ├── DatabaseUnavailable         1
    │   └── OrchestratorUnavailable     1
    └── Final                           trying again gives the same answer
        ├── UsageError                  2  the command line or the settings
        │   └── DefinitionError         2  pipeline.yaml, expectations.yaml, features.py
        ├── Refused                     4  allowed to nobody, or not now
        │   ├── LockHeld                4  somebody else writes this night
        │   ├── Fenced                  4  this run lost its night to another
        │   ├── LeakRefused             4  law 5
        │   ├── Kept                    4  not pruned, for a reason
        │   ├── Pruned                  4  its rows were pruned; its line in the ledger remains
        │   └── EnvironmentRefused      4  not the versions or the bytes that were recorded
        ├── SourceError                 5  the source is missing, unreadable or not as agreed
        └── StageFailed                 1  anything else, unknown errors included

The number is the process's exit code. Unknown errors are final: retrying a typing mistake repairs nothing.
"""

from typing import ClassVar

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_HELD, EXIT_REFUSED, EXIT_SOURCE = range(6)


class OvernightError(Exception):
    """One sentence that says what was wrong, where it was, and the command that helps.

    >>> print(SourceError("no file matches data/a.csv", where="flights 2013-01-20 ingest", hint="ls data"))
    flights 2013-01-20 ingest: no file matches data/a.csv. Try: ls data
    """

    exit_code: ClassVar[int] = EXIT_FAILED
    retryable: ClassVar[bool] = False

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what, where, hint)
        self.what, self.where, self.hint = what.rstrip(".\n "), where, hint

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        stop = "" if self.what.endswith("?") else "."
        way_out = f"{stop} Try: {self.hint}" if self.hint else ""
        return f"{place}{self.what}{way_out}"

    def at(self, where: str) -> "OvernightError":
        """The same error with its place filled in, where it was raised without one."""
        if not self.where:
            self.where = where
        return self


class Retryable(OvernightError):
    """The machine's fault: the same call may work in a minute."""

    retryable = True


class DatabaseUnavailable(Retryable):
    """Postgres is away, restarting, full, or read-only."""


class OrchestratorUnavailable(Retryable):
    """Prefect's server does not answer, or does not come up."""


class ContainerLost(Retryable):
    """The container engine is away, or a stage's container was ended from outside."""


class Final(OvernightError):
    """Trying again gives the same answer."""


class UsageError(Final):
    """The command line or a setting is wrong."""

    exit_code = EXIT_USAGE


class DefinitionError(UsageError):
    """A pipeline's files are wrong; names the file, the place in it and the nearest known word."""


class Refused(Final):
    """What was asked is not allowed, or not now."""

    exit_code = EXIT_REFUSED


class LockHeld(Refused):
    """Another run writes the same pipeline and interval (law 6)."""


class Fenced(Refused):
    """This run was declared dead and another took its night (law 6)."""


class LeakRefused(Refused):
    """A model may not score rows from before the end of what it learned from (law 5)."""


class Kept(Refused):
    """This may not be pruned now; the sentence says why."""


class Pruned(Refused):
    """The rows that are asked for were pruned; the sentence says when, by whom and why."""


class EnvironmentRefused(Refused):
    """The recorded bytes, types or library versions are not the ones that are here (law 10)."""


class SourceError(Final):
    """The source is missing, unreadable, or no longer what the contract says."""

    exit_code = EXIT_SOURCE


class StageFailed(Final):
    """A stage ended in an error that belongs to none of the other kinds."""
