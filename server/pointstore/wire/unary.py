"""Decode a request, call a function on messages, encode its reply: what every unary RPC does around its own work.

A `Handler` is an RPC as the transport sees it. It raises the errors of `core/errors.py`; `guarded` turns them into
statuses, so that no handler does.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, TypeVar

import structlog
from google.protobuf.message import DecodeError, Message
from grpc import StatusCode

from pointstore.core.errors import PointstoreError, RequestError
from pointstore.wire.status import UNEXPECTED, Status, status_of
from pointstore.wire.validate import validate

if TYPE_CHECKING:
    from collections.abc import Callable

    from grpc import ServicerContext

    Handler = Callable[[bytes, ServicerContext], bytes]
    """One RPC: the request's bytes and the call's context to the reply's bytes."""

_Request = TypeVar("_Request", bound=Message)

_TOO_DEEP: Final = "MaxDepth"
"""What the parser's error says beyond its nesting of messages; it has no class of its own."""

_DEPTH_TEXT: Final = "a request may have 100 levels of messages, a filter in a filter and a list in a list are two"

_log = structlog.stdlib.get_logger(__name__)


class Timed(Protocol):
    """A reply that tells how long it took."""

    time: float

    def SerializeToString(self) -> bytes:  # noqa: N802  protobuf's name
        """Return the encoded message."""
        ...


def unary(request_type: type[_Request], call: Callable[[_Request], Timed]) -> Handler:
    """Return the handler of an RPC: declarative validation, the call, and `time` in seconds in the reply."""

    def handler(body: bytes, _context: ServicerContext) -> bytes:
        started = perf_counter()
        request = request_type.FromString(body)
        validate(request)
        reply = call(request)
        reply.time = perf_counter() - started
        return reply.SerializeToString()

    return handler


def guarded(method: str, handler: Handler) -> Handler:
    """Return `handler` with every error turned into a gRPC status.

    Args:
        method: full path, for the log.
        handler: may raise anything.

    """

    def guard(body: bytes, context: ServicerContext) -> bytes:
        try:
            return handler(body, context)
        except RequestError as error:
            status = status_of(error)
            _log.debug("refused", method=method, code=status.code.name, text=status.text)
        except DecodeError as error:
            status = Status(StatusCode.INVALID_ARGUMENT, _undecodable(method, error))
            _log.debug("undecodable", method=method, error=str(error))
        except PointstoreError as error:
            status = status_of(error)
            _log.exception("storage error", method=method, code=status.code.name)
        except Exception:  # noqa: BLE001  the only one: whatever goes wrong, the client gets a status and the log the cause
            status = UNEXPECTED
            _log.exception("unexpected error", method=method)
        return abort(context, status)

    return guard


def _undecodable(method: str, error: DecodeError) -> str:
    if _TOO_DEEP in str(error):
        return f"the request of {method} is nested too deeply: {_DEPTH_TEXT}"
    return f"the request body of {method} cannot be decoded"


def abort(context: Any, status: Status) -> NoReturn:  # noqa: ANN401  grpc's abort is not typed as not returning
    """End a call with a status, by the exception that the transport wants."""
    if status.metadata:
        context.set_trailing_metadata(status.metadata)
    context.abort(status.code, status.text)
    raise AssertionError
