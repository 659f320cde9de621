"""The warden with real processes: whatever becomes of the supervisor, nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from smplat.embedded.processes import is_alive
from smplat.warden import Warden, read_announcements
from tests.environment import PROJECT
from tests.processes import mentioning, wait_until

# Starts two programs, one deaf to polite requests, one with a child of its own, then waits to be killed.
SUPERVISOR = """
import os, sys, time
from pathlib import Path
from smplat.warden import Warden
warden = Warden(Path(os.environ["MARKER"]))
with open(os.devnull, "wb") as nothing:
    for name, script in (("deaf", "trap '' TERM; sleep 300 & wait; sleep 300"), ("parent", "sleep 300 & sleep 300")):
        warden.start(name, ["sh", "-c", script], env=dict(os.environ), cwd=Path("/"), output=nothing)
print("started", flush=True)
time.sleep(300)
"""


def start_supervisor(marker: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "MARKER": marker}
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def test_warden__supervisor_killed__ends_every_program_and_its_children(tmp_path: Path) -> None:
    supervisor = start_supervisor(str(tmp_path))
    wait_until(lambda: sum("sleep 300" in line for line in mentioning(str(tmp_path)).values()) >= 5, seconds=5)

    os.killpg(supervisor.pid, signal.SIGKILL)
    supervisor.communicate()

    wait_until(lambda: not mentioning(str(tmp_path)), seconds=15)


def test_stop_all__warden_was_killed_before__stops_the_programs_itself(tmp_path: Path) -> None:
    warden = Warden(tmp_path)
    with (tmp_path / "log").open("wb") as log:
        program = warden.start("program", ["sleep", "300"], env=dict(os.environ), cwd=tmp_path, output=log)
    warden.process.kill()
    warden.process.wait()

    warden.stop_all()

    assert program.wait(5) == -signal.SIGTERM


def test_stop_all__broker_among_the_programs__is_stopped_after_them(tmp_path: Path) -> None:
    warden = Warden(tmp_path)
    script = "trap 'date +%s%N > {}; exit' TERM; echo up > {}.up; while true; do sleep 0.1; done"
    programs = []
    for name in ("broker", "web"):
        with (tmp_path / "log").open("ab") as log:
            command = ["sh", "-c", script.format(name, name)]
            programs.append(warden.start(name, command, env=dict(os.environ), cwd=tmp_path, output=log))
        wait_until((tmp_path / f"{name}.up").exists, seconds=5)

    warden.stop_all()

    assert len([program.wait(5) for program in programs]) == 2
    assert int((tmp_path / "web").read_text()) < int((tmp_path / "broker").read_text())


def test_ended__program_left_a_child__ends_it(tmp_path: Path) -> None:
    warden = Warden(tmp_path)
    with (tmp_path / "log").open("wb") as log:
        command = ["sh", "-c", "sleep 300 & echo $! > child"]
        program = warden.start("program", command, env=dict(os.environ), cwd=tmp_path, output=log)
    program.wait(5)
    child = int((tmp_path / "child").read_text())

    warden.ended(program.pid)

    wait_until(lambda: not is_alive(child), seconds=5)
    warden.stop_all()


def test_read_announcements__ended_programs__are_forgotten() -> None:
    assert read_announcements(["+ 12 broker", "+ 13 web", "- 12", "+ 14 worker"]) == {13: "web", 14: "worker"}
