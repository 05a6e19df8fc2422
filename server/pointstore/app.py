"""The wiring of the child processes: engine, RPC table and grpcio server of a worker; engine and loop of the optimizer.

Everything is put together here and nowhere else. A child lives until SIGTERM or until the control pipe ends, which
means that its supervisor is gone; then it drains, and is ended by force should the drain hang.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from typing import TYPE_CHECKING, Final

import structlog

from pointstore import __version__
from pointstore.supervisor import DAMAGE_FOUND, DRAIN_MARGIN_S, READY_LINE

if TYPE_CHECKING:
    from pointstore.config import Settings

_GATE_LOOK_S: Final = 0.2
_POISON_LOOK_S: Final = 0.2
_RELEASE_S: Final = 10.0
_STUCK_STATUS: Final = 3
_PATIENCE: Final = 30
"""How much longer than its processor time a step of the search for damage may take; it gives way to all others."""

_log = structlog.stdlib.get_logger(__name__)


def run_recovery(settings: Settings, *, after: str | None) -> None:
    """Repair what an earlier crash left; nothing else has the data directory open.

    Args:
        settings: of the server.
        after: what ended the process that tried before.

    Raises:
        StorageError: the data directory cannot be used; the text says why.

    """
    from pointstore.engine.progress import Progress, inherited_note
    from pointstore.engine.recover import recover
    from pointstore.engine.snapshots import remove_leftovers

    remove_leftovers(settings.data_dir, settings.snapshots_path)
    recover(
        settings.data_dir,
        map_size=settings.map_size,
        catalog_map_size=settings.catalog_map_size,
        check_s=settings.start_check_s,
        progress=Progress(inherited_note(), after, _limit_processor_time),
    )


def run_recheck(settings: Settings, *, after: str | None) -> int:
    """Look for the damage that ended another process, while the rest serves; return the exit status.

    Args:
        settings: of the server.
        after: what ended the process that looked before.

    Raises:
        StorageError: the catalog cannot be used; the text says why.

    """
    from pointstore.core.priority import PromptThread, give_way
    from pointstore.engine.progress import Progress, inherited_note
    from pointstore.engine.recheck import recheck

    promptly = PromptThread()
    give_way()
    found = recheck(
        settings.data_dir,
        map_size=settings.map_size,
        catalog_map_size=settings.catalog_map_size,
        promptly=promptly,
        progress=Progress(inherited_note(), after, _limit_search),
    )
    return DAMAGE_FOUND if found else 0


def run_worker(settings: Settings, *, index: int, control_fd: int, ready_fd: int, gate_fd: int) -> int:
    """Serve until told to stop; return the exit status."""
    from pointstore.core.heap import release_regularly, share_arenas
    from pointstore.engine.engine import Engine
    from pointstore.engine.snapshots import Snapshots
    from pointstore.storage.poison import MARKS
    from pointstore.wire.health import HealthService
    from pointstore.wire.reflection import ReflectionService
    from pointstore.wire.table import build_methods
    from pointstore.wire.transport import Transport
    from qdrant_grpc import POOL

    share_arenas()
    # First of all: threads started later inherit the core.
    core = settings.core_of(index)
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    stop = _watch_for_stop(settings, control_fd)
    if not _pass_gate(gate_fd, stop):
        return 0
    engine = Engine(settings.data_dir, map_size=settings.map_size, catalog_map_size=settings.catalog_map_size)
    health, reflection = HealthService(), ReflectionService(POOL)
    snapshots = Snapshots(engine, settings.snapshots_path, __version__)
    transport = Transport(settings, build_methods(engine, snapshots), {**health.handlers(), **reflection.handlers()})
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    release_regularly(_RELEASE_S)
    transport.listen(f"{host}:{settings.port}")
    _report_ready(ready_fd)

    _stop_when_broken(stop)
    while not stop.wait(_POISON_LOOK_S):
        if MARKS.any():
            # Reads go on, but whoever watches is to restart the server, which checks and clears.
            health.drain()
            stop.wait()
    health.drain()
    time.sleep(settings.lame_duck_s)
    reflection.drain()
    if not transport.stop(settings.grace_s):
        # Closing the store under a running handler is worse than a crash, which loses nothing.
        _log.error("calls still run after the grace period; leaving without closing the store")
        os._exit(_STUCK_STATUS)
    engine.close()
    _log.info("drained")
    return 0


def run_optimizer(settings: Settings, *, control_fd: int, ready_fd: int, gate_fd: int) -> int:
    """Seal, build and merge at low priority until told to stop; return the exit status."""
    from pointstore.core.priority import give_way
    from pointstore.engine.engine import Engine
    from pointstore.engine.optimize import Optimizer

    stop = _watch_for_stop(settings, control_fd)
    if not _pass_gate(gate_fd, stop):
        return 0
    engine = Engine(settings.data_dir, map_size=settings.map_size, catalog_map_size=settings.catalog_map_size)
    optimizer = Optimizer(settings, engine)
    give_way()
    _report_ready(ready_fd)
    _stop_when_broken(stop)
    optimizer.run(stop)
    engine.close()
    return 0


def _pass_gate(gate_fd: int, stop: threading.Event) -> bool:
    """Wait until recovery has ended, which the end of a pipe tells; False when the process is to stop instead."""
    while not stop.is_set():
        if select.select([gate_fd], [], [], _GATE_LOOK_S)[0]:
            return not stop.is_set()
    return False


def _watch_for_stop(settings: Settings, control_fd: int) -> threading.Event:
    """Return an event that is set by SIGTERM, or by the end of the control pipe: the supervisor is gone.

    From then on the process has its time to drain and is ended by force after it. Call from the main thread.
    """
    event = threading.Event()
    wakeup_fd, wakeup_write_fd = os.pipe()
    os.set_blocking(wakeup_write_fd, False)
    signal.set_wakeup_fd(wakeup_write_fd, warn_on_full_buffer=False)
    # The handler only has to exist: its signal is in the pipe. Setting the event in it could deadlock with a wait.
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        select.select([wakeup_fd, control_fd], [], [])
        event.set()
        time.sleep(settings.lame_duck_s + settings.grace_s + DRAIN_MARGIN_S)
        _log.error("the drain takes too long; leaving without it")
        os._exit(_STUCK_STATUS)

    threading.Thread(target=watch, name="stop-watch", daemon=True).start()
    return event


def _stop_when_broken(stop: threading.Event) -> None:
    """End this process in order once it cannot use an environment any more; the supervisor starts another."""
    from pointstore.storage.poison import MARKS

    def watch() -> None:
        MARKS.broken.wait()
        _log.error("a store is of no more use to this process; it makes room for another")
        stop.set()

    threading.Thread(target=watch, name="broken-watch", daemon=True).start()


def _report_ready(ready_fd: int) -> None:
    """Tell the supervisor that this process does its work."""
    os.write(ready_fd, READY_LINE)
    os.close(ready_fd)


def _limit_processor_time(seconds: int) -> None:
    """End this process with SIGPROF, as damage does, once it has computed for so long; 0 for no limit.

    Time on the clock would tell nothing: a sound store takes long, too, on a busy machine or a slow disk.
    """
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _limit_search(seconds: int) -> None:
    """Limit processor time as above; and end a search that has hardly got any with SIGALRM, which is no finding."""
    _limit_processor_time(seconds)
    signal.alarm(seconds * _PATIENCE)
