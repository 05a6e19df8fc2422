"""What is done with an image, in a process of its own: a start's recovery, and reading everything."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import structlog

from pointstore.engine.recover import recover
from tests.building import contents, running_engine

MAP_SIZE = 1 << 30


def prepare() -> None:
    """Set up a process that checks images."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def read_image(directory: str) -> dict[str, dict[str, Any]] | str:
    """Recover an image and read it, then remove it; return the points by collection, or what went wrong."""
    try:
        recover(Path(directory), map_size=MAP_SIZE, catalog_map_size=MAP_SIZE)
        with running_engine(Path(directory), MAP_SIZE) as engine:
            return {name: contents(engine.collection(name)) for name in engine.collection_names()}
    except Exception as error:  # noqa: BLE001  the test shows it
        return f"{type(error).__name__}: {error}"
    finally:
        shutil.rmtree(directory)
