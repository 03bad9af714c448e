"""What `overnight doctor` looks at. Each check answers with what it found and, where something is off, the fix."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from domain.errors import OvernightError
from infra.settings import Settings, load_settings

PINS = {"prefect": "3.8.8", "great-expectations": "1.24.1"}
FREE_GIB = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """`optional` findings do not make the command fail."""

    what: str
    ok: bool
    found: str
    fix: str = ""
    optional: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def examine() -> list[Finding]:
    """Every check, each on its own feet: one that breaks is a finding too."""
    checks: list[Callable[[Settings], Finding]] = [_python, _versions, _definitions, _disk, _database, _prefect, _docker]
    try:
        settings = load_settings()
    except OvernightError as error:
        return [Finding("settings", False, error.what, "mend the variable or overnight.toml")]
    return [Finding("settings", True, f"home {settings.home.absolute()}"), *(_look(check, settings) for check in checks)]


def _look(check: Callable[[Settings], Finding], settings: Settings) -> Finding:
    name = check.__name__.strip("_")
    try:
        return check(settings)
    except OvernightError as error:
        return Finding(name, False, error.what, error.hint)
    except Exception as error:
        return Finding(name, False, f"{type(error).__name__}: {error}", "OVERNIGHT_DEBUG=1 overnight doctor")


def _python(_: Settings) -> Finding:
    return Finding(
        "python", (3, 11) <= sys.version_info[:2] <= (3, 13), sys.version.split()[0], "Python 3.11 to 3.13, then: make setup"
    )


def _versions(_: Settings) -> Finding:
    """The two pins without which Prefect fails in silence, beside the versions that are pinned exactly."""
    wrong = [f"{name} {version(name)} instead of {wanted}" for name, wanted in PINS.items() if version(name) != wanted]
    for name, limit in (("fastapi", (0, 151)), ("sqlalchemy", (2, 1))):
        if tuple(int(part) for part in version(name).split(".")[:2]) >= limit:
            wrong.append(f"{name} {version(name)}, which Prefect {PINS['prefect']} cannot live with")
    return Finding("versions", not wrong, "; ".join(wrong) or "as locked", "make clean setup")


def _definitions(settings: Settings) -> Finding:
    from deployments.catalogue import load_definition, pipeline_names

    names, wrong = pipeline_names(settings.deployments), list[OvernightError]()
    for name in names:
        try:
            load_definition(settings.deployments, name)
        except OvernightError as error:
            wrong.append(error.at(name))
    if wrong:
        said = "; ".join(f"{error.where}: {error.what}" for error in wrong)
        fix = "; ".join(error.hint or f"overnight check {error.where}" for error in wrong)
        return Finding("pipelines", False, f"{len(wrong)} of {len(names)} are wrong: {said}", fix)
    fix = "write deployments/NAME/pipeline.yaml, or set OVERNIGHT_DEPLOYMENTS"
    return Finding("pipelines", bool(names), ", ".join(names) or f"none in {settings.deployments.absolute()}", fix)


def _disk(settings: Settings) -> Finding:
    folder = next(path for path in (settings.home.absolute(), *settings.home.absolute().parents) if path.exists())
    free = shutil.disk_usage(folder).free / 2**30
    return Finding("disk", free > FREE_GIB, f"{free:.0f} GiB free at {folder}", "free some, or set OVERNIGHT_HOME elsewhere")


def _database(settings: Settings) -> Finding:
    import sqlalchemy as sa

    from infra.postgres import ensure_database
    from store.engine import create_engine, transaction
    from store.migrate import migrate

    url = ensure_database(settings)
    _, revision = migrate(url)
    engine = create_engine(url, role="owner", pool_size=1)
    with transaction(engine) as connection:
        server = connection.scalar(sa.text("SHOW server_version"))
        connection.execute(sa.text("CREATE TEMPORARY TABLE writable ON COMMIT DROP AS SELECT 1"))
    engine.dispose()
    where = "any by OVERNIGHT_DATABASE_URL" if settings.database_url else "embedded"
    return Finding("database", True, f"PostgreSQL {server} ({where}), schema {revision}")


def _prefect(settings: Settings) -> Finding:
    from infra.prefect_api import find_server

    url = find_server(settings)
    return Finding("prefect", url is not None, url or "no server is up; runs go directly", "overnight up", optional=True)


def _docker(_: Settings) -> Finding:
    found = shutil.which("docker")
    return Finding("docker", found is not None, found or "not here; stages run in this process", "install Docker", optional=True)
