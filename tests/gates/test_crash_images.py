"""R2: what a disk may hold when the power fails at any moment of a recorded run: every image recovers to the model.

All processes of a server under load are recorded (`recorder.c`), then places of the recording are replayed to images
(`replay.py`): syncs are believed, everything else may be there or not. The control is the same run with LMDB's syncs
switched off, and it must lose writes.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
from collections import Counter, deque
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.conftest import ROOT
from tests.crash.driver import EAGER
from tests.gates import replay
from tests.gates.compiling import compiled
from tests.gates.image_check import prepare, read_image
from tests.gates.recording import Load, missed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Server
    from tests.gates.conftest import Budget

    Start = Callable[..., Server]
    Answer = Future[dict[str, dict[str, Any]] | str]

IMAGES_A_PLACE: Final = 4
IMAGE_TIMEOUT_S: Final = 120
UNSYNCED: Final = os.pathsep.join([str(ROOT / "tests/gates/unsynced"), str(ROOT), str(ROOT / "server")])


class Recording:
    """A recorded run and the images of it."""

    def __init__(self, start: Start, directory: Path, seed: int, calls: int, **settings: str) -> None:
        data_dir, log = directory / "data", directory / "log"
        data_dir.mkdir(parents=True)
        log.touch()
        preload = {
            "LD_PRELOAD": str(compiled("recorder.c", directory)),
            "RECORD_ROOT": str(data_dir),
            "RECORD_LOG": str(log),
        }
        server = start(str(data_dir), **EAGER, **preload, **settings)
        self.load = Load(server.address, str(log), seed)
        self.load.run(calls)
        server.kill9()
        self.records = replay.read_log(log)
        self._root, self._inode = str(data_dir), data_dir.stat().st_ino

    def images(self, places: int, rng: random.Random, into: Path) -> Iterator[tuple[Path, dict[int, int], str]]:
        """Yield so many places' images: directory, answered calls by client, how the image was chosen."""
        chosen = set(rng.sample(range(len(self.records)), min(places, len(self.records))))
        disk = replay.Disk(self._root, self._inode)
        answered: dict[int, int] = {}
        for place, record in enumerate(self.records):
            if place in chosen:
                for number in range(IMAGES_A_PLACE):
                    directory = into / f"{place}-{number}"
                    how = disk.image(directory, rng, record if rng.random() < 0.5 else None)
                    yield directory, dict(answered), f"at record {place}: {how}"
            if record.kind == replay.MARK:
                client, calls = json.loads(record.path)
                answered[client] = calls
            else:
                disk.apply(record)


def check(recording: Recording, images: int, budget: Budget, rng: random.Random) -> tuple[int, list[str]]:
    """Check images; return how many, and what was wrong with some."""
    wrong: list[str] = []
    done = 0
    waiting: deque[tuple[Answer, dict[int, int], str]] = deque()

    def finish_one() -> None:
        nonlocal done
        answer, answered, how = waiting.popleft()
        try:
            found = answer.result(IMAGE_TIMEOUT_S)
        except BrokenProcessPool:
            # One of those that were being checked; nothing is known of the others.
            found = "the process that reads images died"
            waiting.clear()
        reason = found if isinstance(found, str) else missed(recording.load, answered, found)
        done += 1
        if reason:
            wrong.append(f"{how}: {reason}")

    # Memory, where there is some: the images themselves need no disk.
    shared = Path("/dev/shm")  # noqa: S108  a directory of our own in it
    with (
        tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as into,
        ProcessPoolExecutor(2, mp_context=get_context("spawn"), initializer=prepare) as pool,
    ):
        for directory, answered, how in recording.images(-(-images // IMAGES_A_PLACE), rng, Path(into)):
            try:
                waiting.append((pool.submit(read_image, str(directory)), answered, how))
            except BrokenProcessPool:
                break
            if len(waiting) > 8:
                finish_one()
            if budget.spent() or done + len(waiting) >= images:
                break
        while waiting:
            finish_one()
    return done, wrong


@pytest.mark.gate("R2", size=500)
@pytest.mark.timeout(0)
def test_every_crash_image_recovers_to_what_was_acknowledged(
    start_server: Start, tmp_path: Path, budget: Budget
) -> None:
    rng = random.Random(budget.seed)
    recordings, done, wrong, kinds = 0, 0, list[str](), Counter[int]()
    # A recording has a few images for each of its places; more of them need another run.
    while done < budget.size and not budget.spent() and not wrong:
        directory = tmp_path / f"synced-{recordings}"
        recording = Recording(start_server, directory, budget.seed + recordings, calls=60)
        checked, wrong = check(recording, budget.size - done, budget, rng)
        shutil.rmtree(directory)
        found = Counter(record.kind for record in recording.records)
        assert found[replay.SYNCED] > 100
        assert found[replay.RENAMED] > 5
        recordings, done = recordings + 1, done + checked
        kinds += found
    budget.report(
        f"{done} images of {recordings} runs with {kinds.total()} recorded calls ({kinds[replay.WRITE]} writes, "
        f"{kinds[replay.SYNCED]} syncs, {kinds[replay.RENAMED]} renames, {kinds[replay.MARK]} answers)"
    )
    assert not wrong, "\n".join([f"{len(wrong)} of {done} images", *wrong[:10]])


@pytest.mark.gate("R2", size=40)
@pytest.mark.timeout(0)
def test_without_syncs_images_lose_acknowledged_writes(start_server: Start, tmp_path: Path, budget: Budget) -> None:
    rng = random.Random(budget.seed)
    recording = Recording(start_server, tmp_path / "unsynced", budget.seed, calls=20, PYTHONPATH=UNSYNCED)
    done, wrong = check(recording, min(budget.size, 400), budget, rng)
    budget.report(f"control without syncs: {len(wrong)} of {done} images lose acknowledged writes or cannot be read")
    assert len(wrong) > done // 10
