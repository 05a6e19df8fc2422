"""The supervisor: what it refuses, what it restarts, and how a server ends."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from pointstore.config import usable_cores
from pointstore.supervisor import RestartPolicy
from qdrant_grpc import collections_pb2, points_pb2
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from tests.conftest import is_alive, server_environment, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Server


def pointstore(*arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "pointstore", *arguments],
        env=server_environment(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def check_health(address: str) -> HealthCheckResponse:
    """Call Health/Check on a channel of its own, retrying while a worker is away."""
    with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/grpc.health.v1.Health/Check")
        reply = call(HealthCheckRequest().SerializeToString(), timeout=20, wait_for_ready=True)
    return HealthCheckResponse.FromString(reply)


def run_with_children(
    script: str, data_dir: Path, *, deaths_max: int = 3, refused: range = range(0)
) -> subprocess.CompletedProcess[str]:
    """Run a supervisor whose children are `script` instead of the real program; the system refuses some starts."""
    program = f"""
import errno, itertools, os, subprocess, sys
from pathlib import Path
from pointstore.config import Settings
from pointstore.supervisor import RestartPolicy, Supervisor
settings = Settings(port=0, workers=1, data_dir=Path({str(data_dir)!r}))
policy = RestartPolicy(deaths_max={deaths_max})
popen, number = subprocess.Popen, itertools.count()
def start(*arguments, **more):
    if next(number) in {refused!r}:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return popen(*arguments, **more)
subprocess.Popen = start
sys.exit(Supervisor(settings, command=(sys.executable, "-c", {script!r}), policy=policy).run())
"""
    return subprocess.run(
        [sys.executable, "-c", program],
        env=server_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_and_version_need_no_server() -> None:
    helped = pointstore("serve", "--help")
    assert helped.returncode == 0
    assert "--data-dir" in helped.stdout
    assert pointstore("version").stdout == "pointstore 0.1.0\n"


def test_hidden_commands_refuse_to_run_by_hand() -> None:
    ended = pointstore("worker", "0", "--control-fd", "0", "--ready-fd", "1", "--gate-fd", "0")
    assert ended.returncode == 1
    assert ended.stderr.startswith("pointstore: this command is for")


def test_unknown_or_bad_settings_are_refused_with_their_names(tmp_path: Path) -> None:
    config = tmp_path / "settings.yaml"
    config.write_text("prot: 1\noptimizer:\n  threads: 0\n")
    ended = pointstore("serve", "--config", str(config))
    assert ended.returncode == 1
    assert "prot: " in ended.stderr
    assert "optimizer.threads: " in ended.stderr


def test_second_server_on_the_port_is_refused(server: Server, tmp_path: Path) -> None:
    ended = pointstore("serve", "--port", str(server.port), "--data-dir", str(tmp_path / "other"))
    assert (ended.returncode, ended.stderr) == (1, f"pointstore: port {server.port} on 127.0.0.1 is in use\n")
    assert check_health(server.address).status == HealthCheckResponse.SERVING


def test_second_server_on_the_data_directory_is_refused(server: Server) -> None:
    ended = pointstore("serve", "--port", "0", "--data-dir", str(server.data_dir))
    text = f"pointstore: data directory {server.data_dir} is in use by another server (pid {server.pid})\n"
    assert (ended.returncode, ended.stderr) == (1, text)


def test_data_directory_stays_locked_while_an_orphaned_worker_lives(start_server: Callable[..., Server]) -> None:
    # A write that takes its time keeps its worker in the drain; a stopped process would not do, since the kernel
    # hangs up on and continues stopped groups whose parent dies.
    server = start_server(POINTSTORE_FAILPOINTS="write.finished=pause:6", POINTSTORE__GRACE_S="40")
    with grpc.insecure_channel(server.address) as channel:
        request = collections_pb2.CreateCollection(collection_name="slow")
        assert CollectionsStub(channel).Create(request, timeout=60).result
        put = points_pb2.UpsertPoints(collection_name="slow", wait=True)
        put.points.add().id.num = 1
        put.points[0].vectors.vectors.SetInParent()
        writing = PointsStub(channel).Upsert.future(put, timeout=60)
        time.sleep(1)
        server.kill_supervisor()
        ended = pointstore("serve", "--port", "0", "--data-dir", str(server.data_dir))
        assert not writing.done()
        assert ended.returncode == 1
        assert "is in use by another server" in ended.stderr
        assert writing.result().result.status == points_pb2.UpdateStatus.Completed
    server.wait_for_release()


def test_sigterm_ends_everything_with_status_0(server: Server) -> None:
    children = server.child_pids()
    assert sorted(children) == ["optimizer", "worker-0", "worker-1"]
    started = time.monotonic()
    assert server.terminate() == 0
    assert time.monotonic() - started < 10
    assert not any(is_alive(pid) for pid in children.values())
    assert server.log.count("drained") == 2


def test_signals_during_the_drain_do_not_break_it(server: Server) -> None:
    server.process.terminate()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        time.sleep(0.05)
        if server.process.poll() is None:
            server.process.send_signal(number)
    assert server.process.wait(20) == 0
    assert server.log.count("drained") == 2


def test_killed_worker_is_replaced(server: Server) -> None:
    before = server.worker_pids()
    os.kill(before[0], signal.SIGKILL)
    wait_until(lambda: server.log.count("ready ") >= 4, "the replacement reports that it is ready")
    after = server.worker_pids()
    assert len(after) == 2
    assert after[0] != before[0]
    assert after[1] == before[1]
    # The survivor is ended too, so only the replacement can answer.
    os.kill(after[1], signal.SIGSTOP)
    try:
        wait_until(lambda: _one_of_many_answers(server.address), "the replacement answers")
    finally:
        os.kill(after[1], signal.SIGCONT)
    assert server.terminate() == 0


def _one_of_many_answers(address: str) -> bool:
    """Open connections until one reaches a worker that runs; the kernel spreads them over all listeners."""
    for _ in range(20):
        with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            try:
                call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/grpc.health.v1.Health/Check")
                call(b"", timeout=0.3)
            except grpc.RpcError:
                continue
            return True
    return False


def test_killed_supervisor_takes_its_children_along(server: Server) -> None:
    children = server.child_pids()
    server.kill_supervisor()
    wait_until(lambda: not any(is_alive(pid) for pid in children.values()), "the children have ended")
    server.restart()
    assert check_health(server.address).status == HealthCheckResponse.SERVING


def test_optimizer_runs_at_low_priority_and_workers_are_pinned(start_server: Callable[..., Server]) -> None:
    server = start_server(workers=len(usable_cores()), POINTSTORE__PIN_WORKERS="always")
    children = server.child_pids()
    optimizer = children.pop("optimizer")
    wait_until(lambda: os.getpriority(os.PRIO_PROCESS, optimizer) == 19, "the optimizer has lowered its priority")
    wait_until(lambda: server.log.count("ready ") == len(children) + 1, "the optimizer is ready")
    assert os.sched_getscheduler(optimizer) == os.SCHED_BATCH
    assert os.sched_getaffinity(optimizer) == set(usable_cores())
    assert sorted(core for pid in children.values() for core in os.sched_getaffinity(pid)) == usable_cores()


def test_threads_of_children_keep_no_freed_memory(server: Server) -> None:
    for pid in server.child_pids().values():
        assert b"GLIBC_TUNABLES=glibc.malloc.tcache_count=0" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def test_children_may_open_as_many_files_as_the_hard_limit_allows(tmp_path: Path) -> None:
    report = tmp_path / "limits"
    script = f"import resource; print(*resource.getrlimit({resource.RLIMIT_NOFILE}), file=open({str(report)!r}, 'w'))"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
    try:
        run_with_children(script, tmp_path / "data")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert report.read_text() == f"{hard} {hard}\n"


def test_worker_that_keeps_dying_ends_the_server(tmp_path: Path) -> None:
    script = "import sys, time; sys.exit(7) if 'worker' in sys.argv else 'recover' in sys.argv or time.sleep(60)"
    ended = run_with_children(script, tmp_path / "data", deaths_max=3)
    assert ended.returncode == 1
    assert ended.stderr.endswith(
        "pointstore: worker-0 died 3 times within 60 s, the last time with exit status 7; giving up\n"
    )


def test_a_start_that_the_system_refuses_counts_as_a_death(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "if 'worker' in sys.argv:\n"
        "    print('worker runs', flush=True)\n"
        "    sys.exit(7)\n"
        "'recover' in sys.argv or time.sleep(60)\n"
    )
    # Recovery, worker and optimizer; then recovery once more.
    ended = run_with_children(script, tmp_path / "data", refused=range(4))
    assert ended.returncode == 1
    assert ended.stdout.count("worker runs") == 2
    assert (
        ended.stderr == "pointstore: worker-0 died 3 times within 60 s, the last time with exit status 7; giving up\n"
    )


def test_a_system_that_starts_nothing_ends_the_server_in_words(tmp_path: Path) -> None:
    ended = run_with_children("", tmp_path / "data", refused=range(100))
    text = (
        "recover died 3 times within 60 s, the last time with [Errno 11] Resource temporarily unavailable; giving up\n"
    )
    assert (ended.returncode, ended.stderr) == (1, f"pointstore: {text}")


def test_recovery_that_dies_of_damage_is_told_so_the_next_time(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "if 'recover' in sys.argv:\n"
        "    after = sys.argv[sys.argv.index('--after') + 1] if '--after' in sys.argv else None\n"
        "    print('recover after', after, flush=True)\n"
        "    os.write(int(os.environ['POINTSTORE_CHECKING_FD']), b'step')\n"
        "    if after == 'SIGSEGV':\n"
        "        sys.exit(5)\n"
        "    os.kill(os.getpid(), signal.SIGSEGV if after else signal.SIGBUS)\n"
    )
    ended = run_with_children(script, tmp_path / "data")
    assert ended.returncode == 1
    assert ended.stdout.count("recover after") == 3
    assert ended.stdout.index("after None") < ended.stdout.index("after SIGBUS") < ended.stdout.index("after SIGSEGV")
    assert ended.stderr.endswith("failed (exit status 5)\n")


def test_recovery_that_dies_before_any_step_is_not_started_again(tmp_path: Path) -> None:
    script = "import os, signal, sys\nif 'recover' in sys.argv:\n    os.kill(os.getpid(), signal.SIGILL)\n"
    ended = run_with_children(script, tmp_path / "data")
    assert ended.returncode == 1
    assert ended.stderr.endswith("failed (SIGILL)\n")


def test_a_death_of_damage_starts_a_search_for_it(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys, time\n"
        "if 'worker' in sys.argv:\n"
        "    os.kill(os.getpid(), signal.SIGBUS)\n"
        "if 'recheck' in sys.argv:\n"
        "    after = '--after' in sys.argv\n"
        "    print('recheck', after, flush=True)\n"
        "    if not after:\n"
        "        os.write(int(os.environ['POINTSTORE_CHECKING_FD']), b'step')\n"
        "    os.kill(os.getpid(), signal.SIGABRT)\n"
        "if 'optimizer' in sys.argv:\n"
        "    time.sleep(60)\n"
    )
    ended = run_with_children(script, tmp_path / "data", deaths_max=3)
    assert ended.returncode == 1
    assert "recheck False" in ended.stdout
    # It died again without another step, which no further one would survive.
    assert 0 < ended.stdout.count("recheck True") <= ended.stdout.count("recheck False")
    assert "the last time with SIGBUS; giving up" in ended.stderr


def test_a_search_that_got_no_turn_is_not_taken_for_damage(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys, time\n"
        "if 'worker' in sys.argv:\n"
        "    os.kill(os.getpid(), signal.SIGBUS)\n"
        "if 'recheck' in sys.argv:\n"
        "    print('recheck', '--after' in sys.argv, flush=True)\n"
        "    os.write(int(os.environ['POINTSTORE_CHECKING_FD']), b'step')\n"
        "    os.kill(os.getpid(), signal.SIGALRM)\n"
        "if 'optimizer' in sys.argv:\n"
        "    time.sleep(60)\n"
    )
    ended = run_with_children(script, tmp_path / "data", deaths_max=3)
    assert "recheck False" in ended.stdout
    assert "recheck True" not in ended.stdout
    assert "the search for damage failed" in ended.stdout


def test_checks_are_limited_in_what_they_compute_and_not_in_how_long_they_wait() -> None:
    script = (
        "import time\n"
        "from pointstore.app import _limit_processor_time\n"
        "_limit_processor_time(1)\n"
        "time.sleep(1.5)\n"
        "print('waited', flush=True)\n"
        "while True: pass\n"
    )
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, env=server_environment(), capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (-signal.SIGPROF, "waited\n")


def test_failed_recovery_prevents_the_start(tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "gate = int(sys.argv[sys.argv.index('--gate-fd') + 1])\n"
        "'recover' in sys.argv and sys.exit(4)\n"
        "os.read(gate, 1)\n"
        "print('passed the gate')\n"
    )
    ended = run_with_children(script, tmp_path / "data")
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.endswith(f"recovery of data directory {tmp_path / 'data'} failed (exit status 4)\n")


@pytest.mark.parametrize(("deaths", "delay_s"), [(1, 0.1), (2, 0.2), (5, 1.6), (7, 5.0), (40, 5.0)])
def test_restart_delay_doubles_up_to_a_limit(deaths: int, delay_s: float) -> None:
    assert RestartPolicy().delay_s(deaths) == pytest.approx(delay_s)
