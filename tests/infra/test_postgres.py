"""The embedded server: found again, restarted, and when its disk says no, a sentence."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import time

import psycopg2
import pytest

from domain.errors import DatabaseUnavailable
from infra.postgres import database_url, embedded_url, ensure_database, find_server, start_server, stop_server
from infra.settings import Settings
from store.migrate import migrate
from tests.patience import PATIENCE, wait_for


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, which a test may fill or make read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk takes root")
    yield folder
    stop_server(folder / "home" / "postgres")
    subprocess.run(["umount", str(folder)], check=True)


def test_a_server_is_found_again_stopped_and_started_by_the_same_process(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    first = start_server(folder)
    assert start_server(folder) == find_server(folder) == first
    assert stop_server(folder)
    assert find_server(folder) is None
    assert not stop_server(folder)
    assert start_server(folder).pid != first.pid
    stop_server(folder)


def test_the_number_of_another_process_in_the_file_of_a_dead_server_does_not_pass_for_it(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    first = start_server(folder)
    os.kill(first.pid, signal.SIGKILL)  # a power cut; then the machine gives the number to somebody else
    wait_for(lambda: find_server(folder) is None)
    (folder / "postmaster.pid").write_text(
        f"{os.getpid()}\n{folder}\n{int(time())}\n5432\n{first.socket_folder}\n\n1 2\nready   \n"
    )
    assert find_server(folder) is None
    assert start_server(folder).pid not in (first.pid, os.getpid())
    stop_server(folder)


def test_a_server_that_was_killed_is_gone_though_nobody_has_collected_it(tmp_path: Path) -> None:
    folder, program = tmp_path / "data", tmp_path / "postgres"
    folder.mkdir()
    shutil.copy("/bin/sleep", program)
    killed = subprocess.Popen([program, "900"])
    (folder / "postmaster.pid").write_text(f"{killed.pid}\n{folder}\n{int(time())}\n5432\n{folder}\n\n1 2\nready   \n")
    found = wait_for(lambda: find_server(folder))
    assert found.pid == killed.pid
    killed.kill()
    wait_for(lambda: find_server(folder) is None)
    killed.wait()


def test_those_who_start_it_at_once_after_a_crash_find_one_server(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    os.kill(first := start_server(folder).pid, signal.SIGKILL)
    wait_for(lambda: find_server(folder) is None)
    code = "import sys, pathlib; from infra.postgres import start_server; print(start_server(pathlib.Path(sys.argv[1])).pid)"
    at_once = [
        subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = [each.communicate(timeout=PATIENCE) for each in at_once]
    assert {out.strip() for out, _ in said} == {str(start_server(folder).pid)} != {str(first)}, said
    stop_server(folder)


def test_a_home_so_deep_that_its_socket_has_no_room_works_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 20) / ("deeper" * 20) / "postgres"
    server = start_server(folder)
    psycopg2.connect(embedded_url(server, database="postgres")).close()
    stop_server(folder)


def test_each_role_logs_in_as_itself(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    ensure_database(settings)
    assert "overnight_reader@" in database_url(settings, role="reader")
    assert "overnight_writer@" in database_url(settings, role="writer")
    stop_server(settings.postgres_folder)


def test_a_read_only_disk_is_said_in_a_sentence(small_disk: Path) -> None:
    settings = Settings(home=small_disk / "home")
    ensure_database(settings)
    stop_server(settings.postgres_folder)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(DatabaseUnavailable, match=r"does not start \(.*Read-only file system"):
        ensure_database(settings)
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    ensure_database(settings)


def test_a_full_disk_is_said_in_a_sentence_and_room_mends_it(small_disk: Path) -> None:
    settings = Settings(home=small_disk / "home")
    ensure_database(settings)
    with (small_disk / "filler").open("wb") as filler:
        while _write(filler.fileno()):
            pass
    with pytest.raises(DatabaseUnavailable, match="No space left on device"):
        _use(settings)
    (small_disk / "filler").unlink()
    ensure_database(settings)


def _write(descriptor: int) -> bool:
    try:
        return os.write(descriptor, bytes(65536)) > 0
    except OSError:
        return False


def _use(settings: Settings) -> None:
    """What every command does first; the disk may be full at any of its steps."""
    for _ in range(3):
        migrate(ensure_database(settings))
