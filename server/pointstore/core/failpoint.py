"""Named places at which a test can make the process die, fail or pause, to prove what a crash there leaves behind.

    POINTSTORE_FAILPOINTS="commit.before=kill@3,segment.renamed=pause:0.5"

A place fires at its n-th visit (`@n`, the first by default). `kill` ends the process as SIGKILL does, `error` raises
OSError(EIO), `nospace` OSError(ENOSPC), `pause:s` sleeps for s seconds at every visit from then on. Without the
variable a visit costs one look at an empty dictionary.

Every process counts for itself. With POINTSTORE_FAILPOINTS_FIRED, a directory, a place fires in one process only and
leaves a file of its name with the pid there: restarted processes live on, and a test can prove who died where.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from dataclasses import dataclass
from typing import Final

VARIABLE: Final = "POINTSTORE_FAILPOINTS"
FIRED_VARIABLE: Final = "POINTSTORE_FAILPOINTS_FIRED"


@dataclass(slots=True)
class _Place:
    action: str
    visit: int
    seconds: float
    visits: int = 0


def _parse(text: str) -> dict[str, _Place]:
    places: dict[str, _Place] = {}
    for part in filter(None, text.split(",")):
        name, _, rest = part.partition("=")
        action, _, visit = rest.partition("@")
        action, _, seconds = action.partition(":")
        places[name] = _Place(action, int(visit or 1), float(seconds or 0))
    return places


_places = _parse(os.environ.get(VARIABLE, ""))
_fired_dir = os.environ.get(FIRED_VARIABLE)
_counting = threading.Lock()


def visit(name: str) -> None:
    """Pass a named place.

    Raises:
        OSError: a test asked for it.
    """
    if not _places or name not in _places:
        return
    place = _places[name]
    with _counting:
        place.visits += 1
        due = place.visits >= place.visit if place.action == "pause" else place.visits == place.visit
    if due and (place.action == "pause" or _claim(name)):
        _fire(name, place)


def _claim(name: str) -> bool:
    """Tell whether this process is the one in which the place fires."""
    if _fired_dir is None:
        return True
    try:
        descriptor = os.open(os.path.join(_fired_dir, name), os.O_CREAT | os.O_EXCL | os.O_WRONLY)  # noqa: PTH118
    except FileExistsError:
        return False
    os.write(descriptor, str(os.getpid()).encode())
    os.close(descriptor)
    return True


def _fire(name: str, place: _Place) -> None:
    match place.action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "error":
            raise OSError(errno.EIO, f"failpoint {name}")
        case "nospace":
            raise OSError(errno.ENOSPC, f"failpoint {name}")
        case "pause":
            time.sleep(place.seconds)
        case _:
            msg = f"unknown action {place.action!r} of failpoint {name}"
            raise ValueError(msg)
