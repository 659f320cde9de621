"""The embedded PostgreSQL: real servers in folders of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from smplat.embedded import launcher as launchers
from smplat.embedded.cluster import SUPERUSER, Cluster, running_postgres
from smplat.embedded.launcher import Launcher, copied_programs, default_launcher, service_launcher, wheel_programs
from smplat.embedded.processes import is_alive
from tests.environment import PROJECT
from tests.processes import mentioning, wait_until


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster in a folder with a space, stopped and removed afterwards."""
    cluster = Cluster(tmp_path / "a folder" / "postgres", durable=False)
    yield cluster
    cluster.stop()


def query(cluster: Cluster, statement: str) -> object:
    with psycopg.connect(host=str(cluster.sockets), user=SUPERUSER, dbname="smplat", autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else (None,)
        return row[0] if row else None


def postmaster(cluster: Cluster) -> int:
    pid = running_postgres(cluster.data_dir / "postmaster.pid")
    assert pid is not None
    return pid


def test_ensure_running__first_time__makes_a_private_utf8_database_in_utc(cluster: Cluster) -> None:
    cluster.ensure_running()

    assert query(cluster, "SHOW server_encoding") == "UTF8"
    assert query(cluster, "SHOW timezone") == "UTC"
    assert query(cluster, "SHOW listen_addresses") == ""
    assert query(cluster, "SELECT datlocale FROM pg_database WHERE datname = 'smplat'") == "C.UTF-8"
    assert cluster.sockets.stat().st_mode & 0o777 == 0o700
    assert len(str(cluster.sockets)) < 60


def test_ensure_running__postmaster_killed__comes_back_with_its_data(cluster: Cluster) -> None:
    cluster = Cluster(cluster.wanted_dir)  # durable, as outside the tests
    cluster.ensure_running()
    query(cluster, "CREATE TABLE kept AS SELECT 42 AS answer")

    killed = postmaster(cluster)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: not is_alive(killed), seconds=5)
    cluster.ensure_running()

    assert query(cluster, "SELECT answer FROM kept") == 42


def test_ensure_running__many_processes_at_once__share_one_server(cluster: Cluster) -> None:
    code = "from smplat.embedded.cluster import Cluster; from pathlib import Path; import sys; \
Cluster(Path(sys.argv[1]), durable=False).ensure_running()"
    command = [sys.executable, "-c", code, str(cluster.wanted_dir)]

    started = [subprocess.Popen(command, cwd=PROJECT) for _ in range(4)]
    codes = [process.wait(60) for process in started]

    assert codes == [0, 0, 0, 0]
    servers = [line for line in mentioning(str(cluster.data_dir)).values() if "bin/postgres" in line]
    assert len(servers) == 1


def test_ensure_running__note_names_a_stranger__starts_all_the_same(cluster: Cluster) -> None:
    cluster.ensure_running()
    note = cluster.data_dir / "postmaster.pid"
    lines = note.read_text().splitlines()
    cluster.stop()
    note.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")

    cluster.ensure_running()

    assert query(cluster, "SELECT 1") == 1


def test_ensure_running__data_deleted_under_the_server__makes_a_new_cluster(cluster: Cluster) -> None:
    cluster.ensure_running()
    orphan = postmaster(cluster)
    shutil.rmtree(cluster.data_dir)

    cluster.ensure_running()

    assert postmaster(cluster) != orphan
    assert query(cluster, "SELECT 1") == 1


def test_ensure_running__interrupted_while_made__starts_from_scratch(cluster: Cluster) -> None:
    half_made = cluster.data_dir.with_name("postgres.new")
    half_made.mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18\n")

    cluster.ensure_running()

    assert query(cluster, "SELECT 1") == 1


def test_stop__running__ends_it_and_may_be_repeated(cluster: Cluster) -> None:
    cluster.ensure_running()

    cluster.stop()
    cluster.stop()

    assert not cluster.is_running()
    assert not [line for line in mentioning(str(cluster.data_dir)).values() if "bin/postgres" in line]


def test_cluster__durable_by_default__flushes_at_commit(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "postgres")
    try:
        cluster.ensure_running()

        assert query(cluster, "SHOW fsync") == "on"
        assert query(cluster, "SHOW synchronous_commit") == "on"
    finally:
        cluster.stop()


def test_launcher__root_without_namespaces__runs_under_a_service_account(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        assert default_launcher() == Launcher(wheel_programs())
        return
    home = Path(tempfile.mkdtemp())  # pytest's own folders are closed to other accounts, as /root is
    (private := home / "private").mkdir(mode=0o700)
    home.chmod(0o755)
    monkeypatch.setattr(launchers, "SERVICE_HOME", home / "service")
    cluster = Cluster(private / "postgres", durable=False, launcher=service_launcher())
    try:
        cluster.ensure_running()

        assert query(cluster, "SELECT 1") == 1
        assert cluster.data_dir.is_relative_to(home / "service")
        assert cluster.data_dir.stat().st_uid != 0
        assert private.stat().st_mode & 0o777 == 0o700
    finally:
        cluster.stop()
        shutil.rmtree(home)


def test_copied_programs__wheel_out_of_reach__run_from_their_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launchers, "SERVICE_HOME", tmp_path)

    programs = copied_programs(wheel_programs())

    assert programs.is_relative_to(tmp_path)
    assert "18." in Launcher(programs).run("psql", "--version").stdout
