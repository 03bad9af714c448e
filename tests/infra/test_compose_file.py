"""What docker-compose.yml hands to its parts, read from the file; `tests/docker/test_compose.py` starts them."""

import stat
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.docker.healthy import main as ask_health
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


@pytest.mark.parametrize("name", STACK["services"])
def test_every_part_of_the_stack_is_bounded_and_confined(name: str) -> None:
    part = STACK["services"][name]
    assert {"mem_limit", "pids_limit", "cpu_shares", "restart", "logging"} <= part.keys()
    assert part["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in part.get("ports", ()))
    assert "docker.sock" not in str(part)
    if name != "postgres":  # whose own start changes files and users
        assert (part["read_only"], part["cap_drop"]) == (True, ["ALL"])
    reaches_out = [network for network in part["networks"] if not (STACK["networks"][network] or {}).get("internal")]
    assert reaches_out == (["front"] if "ports" in part else [])


def test_only_the_web_and_prefects_pages_are_published() -> None:
    assert [name for name, part in STACK["services"].items() if "ports" in part] == ["prefect", "web"]


class Prefect(BaseHTTPRequestHandler):
    """What a worker's health is asked of: a search that is POSTed, and an address that is there or not."""

    def do_POST(self) -> None:
        self.answer(200, b'[{"name": "one", "status": "ONLINE"}]')

    def do_GET(self) -> None:
        self.answer(200 if self.path == "/deployed" else 404, b"{}")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


def test_a_part_is_well_when_every_address_answers_and_holds_its_word(monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), Prefect) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here = f"http://127.0.0.1:{server.server_port}"
        asked = {"": 0, "/workers#ONLINE /deployed": 0, "/workers#OFFLINE": 1, "/workers#ONLINE /gone": 1, "/deployed": 0}
        for addresses, code in asked.items():
            monkeypatch.setenv("OVERNIGHT_HEALTH_URL", " ".join(here + one for one in addresses.split()))
            assert ask_health() == code, addresses
        server.shutdown()
    assert ask_health() == 1, "nobody answers any more"
