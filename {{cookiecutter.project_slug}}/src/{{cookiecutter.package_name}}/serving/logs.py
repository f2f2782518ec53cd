"""One line for each event: for people on a terminal, JSON anywhere else."""

import logging
import sys
from typing import Any

import structlog
from pydantic_core import to_json


def set_up() -> None:
    """Sends the lines of this service, and what its libraries warn of, to stderr."""
    on_terminal = sys.stderr.isatty()
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if on_terminal:
        show: Any = structlog.dev.ConsoleRenderer()
        factory: Any = structlog.PrintLoggerFactory(sys.stderr)
    else:
        show = structlog.processors.JSONRenderer(serializer=lambda event, **_: to_json(event, fallback=str))
        factory = structlog.BytesLoggerFactory(sys.stderr.buffer)
        shared.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*shared, show],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Passed()], level=logging.WARNING, force=True)


class _Passed(logging.Handler):
    """Gives what a library logs to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)
