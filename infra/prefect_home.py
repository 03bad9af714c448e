"""Prefect's own corner of OVERNIGHT_HOME: its folder, the note of who serves it, and what its processes are told."""

import json
import os
from pathlib import Path

import psutil

from infra.settings import SILENCE, Settings


def prefect_folder(settings: Settings) -> Path:
    """Prefect's home, so that ours never meets one that the user has for other work."""
    return settings.home.absolute() / "prefect"


def remember_server(settings: Settings, *, url: str, pid: int) -> None:
    """Leaves a note for those who look for the server, with the process's birth, since numbers of processes are reused."""
    note = {"url": url, "pid": pid, "born": psutil.Process(pid).create_time()}
    (prefect_folder(settings) / "server.json").write_text(json.dumps(note))


def forget_server(settings: Settings) -> None:
    (prefect_folder(settings) / "server.json").unlink(missing_ok=True)


def noted_server(settings: Settings) -> str | None:
    """The API of the server that `overnight up` started and that still lives."""
    try:
        note = json.loads((prefect_folder(settings) / "server.json").read_text())
        alive = abs(psutil.Process(note["pid"]).create_time() - note["born"]) < 1
    except (OSError, ValueError, KeyError, psutil.Error):
        return None
    return str(note["url"]) if alive else None


def prefect_environment(settings: Settings, *, url: str) -> dict[str, str]:
    """What Prefect's processes and ours that use Prefect are told, whatever the user's own Prefect is set to."""
    return {
        **SILENCE,
        "PREFECT_HOME": str(prefect_folder(settings)),
        "PREFECT_API_URL": url,
        "PREFECT_PROFILES_PATH": str(prefect_folder(settings) / "profiles.toml"),
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "PREFECT_CLIENT_MAX_RETRIES": "7",  # waits about four minutes for a server that restarts; 5 wait for one
        "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
        # Slots are leases; in memory they die with the server, and it then ends the runs that held them.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        # One write per event makes SQLite refuse other writers now and then, and each refusal costs them two seconds.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "200",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "3",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "500",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "500",
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",  # a request per client, for a protection that the server has off
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "overnight",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }


def settings_environment(settings: Settings) -> dict[str, str]:
    """The settings as `OVERNIGHT_*` variables with absolute paths, for a process with another working folder."""
    values = {name: getattr(settings, name) for name in Settings.model_fields}
    paths = {name: value.absolute() for name, value in values.items() if isinstance(value, Path)}
    return {f"OVERNIGHT_{name.upper()}": str(value) for name, value in (values | paths).items() if value is not None}


def clean_environment() -> dict[str, str]:
    """This process's environment without what it says of Prefect and of our settings."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "OVERNIGHT_"))}
