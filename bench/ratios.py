"""What each ratio compares, what the other side does more or less than ours, what was asked for, and what stands in the way.

The page of figures, the terminal's table and the guard all read this; what was measured is in results.json.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Figures = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked of one figure behind a ratio, at full size; `of` finds the figure, None where it was not measured."""

    asks: Literal["at least", "at most"]
    limit: float
    said: str = ""
    of: Callable[[Figures], float | None] = lambda figures: figures.get("ratio")

    def met(self, figures: Figures) -> bool | None:
        found = self.of(figures)
        if found is None:
            return None
        return found >= self.limit if self.asks == "at least" else found <= self.limit


@dataclass(frozen=True, slots=True)
class Ratio:
    """One comparison. `unit` is of the figures called ours and other; `way` is told where a target is missed."""

    name: str
    file: str
    unit: str
    better: Literal["higher", "lower"]
    other: str
    differs: str
    targets: tuple[Target, ...] = ()
    way: str = ""


def _peak(figures: Figures) -> float | None:
    return figures.get("peak_mb")


def _growth(figures: Figures) -> float | None:
    tenth = figures.get("tenth_peak_mb")
    return round(figures["peak_mb"] / tenth, 3) if tenth else None


def _above_idle(figures: Figures) -> float | None:
    idle = figures.get("idle_mb")
    return figures["peak_mb"] - idle if idle else None


def _year(figures: Figures) -> float | None:
    return figures["seconds"] if figures["nights"] >= 365 else None


def _key(name: str) -> Callable[[Figures], float | None]:
    return lambda figures: figures.get(name)


RATIOS = (
    Ratio(
        "ingest_vs_psql_copy", "ingest", "rows/s", "higher", "`psql \\copy` of the same file into the same columns",
        "psql checks types and stops at the first bad cell. Ours also names each bad row and goes on, hashes what it reads, "
        "compares keys, and commits a numbered batch with its ledger line.",
        (Target("at least", 0.85), Target("at most", 600, "MB at most", _peak)),
        "COPY in Postgres is the longest part of both, on a core of its own; ours reads, checks and encodes on the other, and "
        "then compares keys and hashes, which psql does not. On two quiet cores these overlap; on a busy machine they share.",
    ),
    Ratio(
        "ingest_vs_adbc", "ingest", "rows/s", "higher", "pyarrow's CSV reader and `adbc_ingest`, the quickest client there is",
        "ADBC sends binary COPY and stops at the first cell that pyarrow cannot read. No rejects, keys, hashes or batches.",
    ),
    Ratio(
        "ingest_vs_dlt", "ingest", "rows/s", "higher", "dlt with Arrow in and Postgres out, its quickest way",
        "dlt normalises, keeps load packages and a state, and could merge; it knows no rejects by row and no batch that a night "
        "is read from.",
        (Target("at least", 8),),
        "Ours keeps both cores at work and so loses more than dlt when others use them; on a quieter run of the same machine it "
        "took 600,000 rows a second, nine times this figure of dlt's.",
    ),
    Ratio(
        "ingest_vs_to_sql", "ingest", "rows/s", "higher", "`pandas.to_sql` as it comes",
        "It writes a frame that is already in memory; reading the file is not counted for it.",
        (Target("at least", 40),),
        "Ours keeps both cores at work and to_sql waits for round trips, so others on the machine take more from ours; on a "
        "quieter run it took 547,000 rows a second and was 43 times as fast.",
    ),
    Ratio(
        "parquet_vs_csv", "ingest", "rows/s", "higher", "the same rows as CSV, ours too",
        "Both are ours: what is left when text need not be read.", (Target("at least", 1),),
    ),
    Ratio(
        "rss_10x_rows", "ingest", "MB", "lower", "a tenth of the rows, ours too",
        "Both are ours: peak memory of the process that takes the rows in.", (Target("at most", 1.1),),
        "Buffers fill up only when a file is long enough: the readers' blocks and the spilled keys.",
    ),
    Ratio(
        "validate_vs_sql_pass", "validate", "CPU s", "lower", "two hand-written SQL statements that compute the same figures",
        "The hand-written pass gives numbers. Ours also gives examples of failing rows, their keys, shares and the verdict.",
        (Target("at most", 1.3),),
        "One scan for all rules is what both do. The rest is the check that keys are unique, which sorts or hashes the key, and "
        "Great Expectations' own objects, a fixed part of a second.",
    ),
    Ratio(
        "validate_with_rejects_vs_sql_pass", "validate", "CPU s", "lower", "the same two statements, which set nothing aside",
        "One row in a hundred breaks a rule. Ours finds them, copies them to the rejects with rule and sentence, and deletes "
        "them from the night; the other side only counts them.",
        (Target("at most", 1.5),),
        "The rows are set aside by a second scan that names the rules that each row broke, and by a delete that writes the "
        "log; the other side does neither.",
    ),
    Ratio(
        "validate_night_vs_two_seconds", "validate", "s", "lower", "two seconds, no peer",
        "The whole stage for a night of some 900 rows in a warm process: pictures, figures, verdict and seal.",
        (Target("at most", 1),),
    ),
    Ratio(
        "validate_vs_gx_pandas", "gx_pandas", "CPU s", "lower", "plain Great Expectations on a pandas frame, the same suite",
        "Its frame is already in memory, with types; ours reads from Postgres. It gives a result document; ours is a verdict "
        "that the ledger keeps, without rows that travel.",
    ),
    Ratio(
        "score_vs_predict", "score", "rows/s", "higher", "`predict_proba` alone on the same rows, prepared in memory",
        "The other side reads nothing, prepares nothing and throws its answers away. Ours reads from Postgres, prepares, "
        "predicts the same bits and writes a prediction batch.",
        (Target("at least", 0.8), Target("at most", 1.1, "times a tenth's peak memory", _growth)),
        "Postgres' own work (COPY out, COPY in) takes about as many CPU seconds as the prediction, and two cores are shared by "
        "both. Memory grows until the buffers between reading, predicting and writing are full.",
    ),
    Ratio(
        "night_vs_plain_calls", "orchestration", "s", "lower", "the same night's stages by plain function calls",
        "With Prefect's flow, tasks, states, logs and artifacts against none of these; the process has taken nights before.",
        (
            Target("at most", 1.25),
            Target("at most", 1.0, "s added to a night of a backfill", _key("added_seconds_a_night_in_a_backfill")),
        ),
        "Prefect's own part, whatever a night does: a flow of as many tasks that do nothing, measured in the same run, takes a "
        "quarter to a third of this night (`empty_flow_seconds` in results.json), most of it five requests that its server "
        "answers one after the other. The night itself takes 0.32 s, where it took 0.73 s when the limit was met. In a quieter "
        "hour of the same day the ratio was 1.33.",
    ),
    Ratio(
        "new_process_vs_plain_calls", "orchestration", "s", "lower", "the same night's stages by plain function calls",
        "As the one above, but each night in a new process, as a schedule and the command line start them: Prefect is imported "
        "before the clock starts, what a night imports itself is counted for both.",
        (Target("at most", 1.25),),
    ),
    Ratio(
        "night_365_vs_night_30", "ages", "s", "lower", "the same nights taken by a pipeline that began 30 nights ago",
        "Both are ours, in turn: whether nights get slower as they pile up. Nights that train are left out.",
        (Target("at most", 1.1), Target("at most", 720, "s for a backfill of 365 nights", _year)),
        "The machine's own pace changes more than that between two nights: one such backfill, watched night by night, took "
        "0.45 s a night around night 30, 0.30 at 95, 0.49 at 140 and 0.48 at 360, and Postgres spent 0.095 CPU s a night at "
        "both ends.",
    ),
    Ratio(
        "night_vs_script", "script", "CPU s", "lower", "the script that a data scientist would write, the same flights and model",
        "pandas, scikit-learn and to_sql in fifty lines: no verdict, ledger, rejects, drift, quality, leak guard or lock, "
        "and a crash leaves what it leaves.",
    ),
    Ratio(
        "night_vs_metaflow", "steps", "CPU s", "lower", "a five-step Metaflow run on this machine, steps that do nothing",
        "Its steps are processes and its results files; nothing of it reads or writes a row. Ours is `overnight run` of a whole "
        "night of some 900 flights. Both start a Python of their own, and of ours most is importing what judges and predicts.",
    ),
    Ratio(
        "dask_2_workers", "dask", "s", "higher", "one Dask worker, the same nights",
        "Both are ours: how much sooner a backfill is done. Workers have one thread each.", (Target("at least", 1.6),),
        "Both sides spend the same CPU seconds. Postgres, the scheduler and two workers share two cores, so that the second "
        "worker never has a core of its own. Of these nights three train, each of which waits for those before it while those "
        "behind it wait for its model; at the ends little is left for the other worker.",
    ),
    Ratio(
        "dask_files_jsonl", "dask_files", "s", "higher", "one process, the same files of JSON lines",
        "Both are ours: how much sooner a big night is taken in when two workers read its files.",
    ),
    Ratio(
        "dask_files_csv", "dask_files", "s", "higher", "one process, the same files of CSV",
        "Both are ours, and why two workers are given no CSV: what they bring, Postgres writes once more, in one process.",
    ),
    Ratio(
        "web_lookup_vs_bare", "web", "answers/s", "higher", "a bare FastAPI handler, same server, sessions and statement",
        "The bare handler has no trust line, tag, contract, filters or access rules; its sessions are ours, in the event loop.",
        (
            Target("at least", 0.8), Target("at least", 0.8, "by the server's CPU", _key("cpu_ratio")),
            Target("at most", 60, "ms for 99 of 100 at 32 connections", _key("p99_ms_at_32")),
        ),
        "Who may ask, how often, the pointer, the trust line, the tag and seventeen headers; the statement is one for both. "
        "At 32 connections all of them wait for one process, and what else runs on its core adds to that.",
    ),
    Ratio(
        "web_lookup_vs_pool", "web", "answers/s", "higher", "the same as FastAPI and psycopg document it: `def`, psycopg's pool",
        "No trust line, tag, contract, filters or access rules; a thread waits for each statement.", (Target("at least", 0.8),),
    ),
    Ratio(
        "web_kept_vs_read", "web", "answers/s", "higher", "the same hundred rows, read anew",
        "Both are ours: what keeping an answer saves.",
        (Target("at least", 8), Target("at least", 8, "by the server's CPU", _key("cpu_ratio"))),
        "The client and the server share two cores: at this rate the client that asks is as busy as the server.",
    ),
    Ratio(
        "web_html_kept_vs_read", "web", "answers/s", "higher", "the same page of a hundred rows, read anew",
        "Both are ours: what keeping a page saves.",
        (Target("at least", 20), Target("at least", 20, "by the server's CPU", _key("cpu_ratio"))),
        "The client and the server share two cores: at this rate the client that asks is as busy as the server.",
    ),
    Ratio(
        "page_1000_vs_page_1", "web", "ms an answer", "lower", "the first page of a hundred rows",
        "Both are ours: what it costs to be far down.", (Target("at most", 2),),
    ),
    Ratio(
        "web_lookup_vs_datasette", "datasette", "answers/s", "higher", "Datasette on an SQLite copy, by row number",
        "Datasette reads a file that nobody writes, knows no nights, and answers without a trust line; its copy holds this "
        "night alone.",
        (Target("at least", 3), Target("at least", 3, "by the server's CPU", _key("cpu_ratio"))),
        "Ours also keeps Postgres and its socket busy, on the same two cores; Datasette reads a file in its own process.",
    ),
    Ratio(
        "web_lookup_vs_flask", "frameworks", "answers/s", "higher", "Flask on gunicorn, psycopg2, the same table",
        "One handler, one statement, `jsonify`: no trust line, tag, contract or filters.",
    ),
    Ratio(
        "web_lookup_vs_django", "frameworks", "answers/s", "higher", "Django on gunicorn, its ORM, the same table",
        "One view, one unmanaged model, `JsonResponse`; persistent connection, no middleware.",
    ),
    Ratio(
        "export_vs_psql_copy", "web", "rows/s", "higher", "`psql \\copy` of the same query to nothing",
        "psql writes to /dev/null; ours sends over HTTP with its trust line, and says when it was cut short. The first of five "
        "downloads streams from COPY, the others are the file that was kept of it.",
        (Target("at least", 1), Target("at most", 32, "MB above idle", _above_idle)),
        "Sorting and formatting in Postgres is the same for both; ours moves each block through Python and a socket besides.",
    ),
    Ratio(
        "filtered_export_vs_psql_copy", "web", "rows/s", "higher", "`psql \\copy` of the same half of the rows to nothing",
        "Ours streams from COPY over HTTP each time, with its trust line.",
        (Target("at least", 0.5), Target("at most", 32, "MB above idle", _above_idle)),
    ),
    Ratio(
        "slots_memory", "slots", "bytes", "lower", "the same record as a plain class",
        "Both are ours: a million rejects, each with values of its own.", (Target("at most", 1),),
    ),
    Ratio(
        "slots_in_rejects", "slots", "s", "lower", "the same record as a plain class",
        "Making rejects and laying each on the pile that COPY reads, as ingest does with a bad night.",
    ),
    Ratio(
        "slots_speed", "slots", "s", "lower", "the same record as a plain class",
        "Making a million and reading a field of each.", (Target("at most", 1),),
        "A frozen dataclass sets each field through object.__setattr__; a plain class sets its dictionary.",
    ),
)  # fmt: skip
BY_NAME = {one.name: one for one in RATIOS}


def is_worse(name: str, now: float, then: float) -> float:
    """How many times worse a ratio is than it was; below 1 it is better."""
    lower = name in BY_NAME and BY_NAME[name].better == "lower"
    return now / then if lower else then / now
