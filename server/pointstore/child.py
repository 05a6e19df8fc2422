"""The commands of the processes that this program starts: workers, optimizer, recovery and checks.

Every start of a server runs four of them, so this imports little, and each command only what it needs.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pointstore.config import Settings
from pointstore.logs import configure_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def run_child(arguments: Sequence[str]) -> int:
    """Run one of `COMMANDS`; return the exit status."""
    given = _parser().parse_args(arguments)
    try:
        settings = Settings.from_environment()
    except KeyError:
        return _refuse("this command is for the processes that `pointstore serve` starts")
    role = f"worker-{given.index}" if given.command == "worker" else given.command
    configure_logs(role=role, level=settings.log_level, as_json=settings.log_json)
    return COMMANDS[given.command](settings, given)


def _worker(settings: Settings, given: Namespace) -> int:
    """Run one serving process."""
    from pointstore.app import run_worker

    return run_worker(
        settings, index=given.index, control_fd=given.control_fd, ready_fd=given.ready_fd, gate_fd=given.gate_fd
    )


def _optimizer(settings: Settings, given: Namespace) -> int:
    """Run the background process."""
    from pointstore.app import run_optimizer

    return run_optimizer(settings, control_fd=given.control_fd, ready_fd=given.ready_fd, gate_fd=given.gate_fd)


def _recover(settings: Settings, given: Namespace) -> int:
    """Repair what a crash left, before the workers start."""
    from pointstore.app import run_recovery
    from pointstore.core.errors import PointstoreError

    try:
        run_recovery(settings, after=given.after)
    except PointstoreError as error:
        return _refuse(error.message)
    return 0


def _recheck(settings: Settings, given: Namespace) -> int:
    """Look for the damage that ended another process."""
    from pointstore.app import run_recheck
    from pointstore.core.errors import PointstoreError

    try:
        return run_recheck(settings, after=given.after)
    except PointstoreError as error:
        return _refuse(error.message)


def _check_unpacked(settings: Settings, given: Namespace) -> int:
    """Check what `restore` has unpacked, in a process that a damaged store may end."""
    from pointstore.core.errors import PointstoreError
    from pointstore.engine.restore import check_unpacked

    try:
        check_unpacked(given.root, settings.map_size)
    except PointstoreError as error:
        sys.stdout.write(str(error))
        return 1
    return 0


COMMANDS: Final[dict[str, Callable[[Settings, Namespace], int]]] = {
    "worker": _worker,
    "optimizer": _optimizer,
    "recover": _recover,
    "recheck": _recheck,
    "check-unpacked": _check_unpacked,
}


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="pointstore")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, run in COMMANDS.items():
        command = commands.add_parser(name, description=run.__doc__)
        if name == "check-unpacked":
            command.add_argument("root", type=Path)
            continue
        if name == "worker":
            command.add_argument("index", type=int)
        command.add_argument("--control-fd", type=int, required=True, help="pipe that ends with the supervisor")
        command.add_argument("--ready-fd", type=int, required=True, help="pipe that takes the ready line")
        command.add_argument("--gate-fd", type=int, required=True, help="pipe whose end opens the data directory")
        command.add_argument("--after", help="what ended the process that tried this before")
    return parser


def _refuse(reason: str) -> int:
    """Say on standard error why this process ends; return its exit status."""
    sys.stderr.write(f"pointstore: {reason}\n")
    return 1
