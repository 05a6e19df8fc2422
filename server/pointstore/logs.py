"""Structured logs on standard error, each line with the role and the pid of its process.

Lines of libraries that log through `logging` (grpc does) take the same form.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger


def configure_logs(*, role: str, level: str, as_json: bool) -> None:
    """Set up the logs of this process; call once, before the first line.

    Args:
        role: what the process is: `supervisor`, `worker-0`, `optimizer`.
        level: name of the lowest level that is written, in lower case.
        as_json: one JSON object a line instead of text.

    """

    def add_process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {"role": role, "pid": os.getpid(), **event}

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_process,
    ]
    finish: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # It announces at the level of information which of its libraries it loads.
    logging.getLogger("faiss").setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
