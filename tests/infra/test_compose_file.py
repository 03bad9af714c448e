"""What docker-compose.yml hands to its parts, read from the file; `tests/docker/test_compose.py` starts them."""

import stat
from pathlib import Path

import yaml

from infra.docker.make_secrets import main as make_secrets
from infra.settings import Settings
from web.sessions import SHORTEST

ROOT = Path(__file__).parents[2]
STACK = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_every_setting_of_the_web_reaches_the_web_of_the_stack() -> None:
    web = STACK["services"]["web"]
    told = set(web["environment"]) | {one["target"].upper() for one in web["secrets"]}
    theirs = {f"OVERNIGHT_{name.upper()}" for name in Settings.model_fields if name.startswith("web_")}
    assert theirs - told == {"OVERNIGHT_WEB_PORT"}  # the container's own port is 8500, WEB_PORT the one outside
    assert [name for name in theirs if web["environment"].get(name)] == [], "a default here would differ from the code's"


def test_each_secret_of_the_stack_is_made_once_and_a_folder_from_before_gets_the_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make_secrets(folder)
    assert set(STACK["secrets"]) <= {path.name for path in folder.iterdir()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    before = {path.name: path.read_text() for path in folder.iterdir()}
    assert len(before["web_key"]) >= SHORTEST
    (folder / "web_key").unlink()
    make_secrets(folder)
    after = {path.name: path.read_text() for path in folder.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"web_key"}
    make_secrets(folder)
    assert after == {path.name: path.read_text() for path in folder.iterdir()}
