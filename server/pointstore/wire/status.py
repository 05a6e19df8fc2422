"""The one table from error class to gRPC status, and what a client gets to read of an error.

It is the only place that knows both the error tree and gRPC codes (specification part 1, 2.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from grpc import StatusCode

from pointstore.core.errors import (
    AlreadyExistsError,
    BadRequestError,
    CallCancelledError,
    ConversionError,
    CorruptionError,
    ForbiddenError,
    InferenceError,
    InsufficientStorageError,
    MessageTooLargeError,
    NotFoundError,
    OperationTimeoutError,
    OverloadedError,
    PointstoreError,
    QuarantinedError,
    QueryInferenceError,
    RateLimitedError,
    ReadOnlyError,
    RequestError,
    StorageError,
    UnavailableError,
    UnsupportedError,
    ValidationError,
    WrongInputError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

CODES: Final[Mapping[type[PointstoreError], StatusCode]] = {
    ConversionError: StatusCode.INVALID_ARGUMENT,
    ValidationError: StatusCode.INVALID_ARGUMENT,
    WrongInputError: StatusCode.INVALID_ARGUMENT,
    AlreadyExistsError: StatusCode.ALREADY_EXISTS,
    BadRequestError: StatusCode.INVALID_ARGUMENT,
    NotFoundError: StatusCode.NOT_FOUND,
    UnsupportedError: StatusCode.UNIMPLEMENTED,
    ForbiddenError: StatusCode.PERMISSION_DENIED,
    InferenceError: StatusCode.INTERNAL,
    QueryInferenceError: StatusCode.INTERNAL,
    OperationTimeoutError: StatusCode.DEADLINE_EXCEEDED,
    RateLimitedError: StatusCode.RESOURCE_EXHAUSTED,
    InsufficientStorageError: StatusCode.RESOURCE_EXHAUSTED,
    MessageTooLargeError: StatusCode.RESOURCE_EXHAUSTED,
    OverloadedError: StatusCode.RESOURCE_EXHAUSTED,
    CallCancelledError: StatusCode.CANCELLED,
    StorageError: StatusCode.INTERNAL,
    UnavailableError: StatusCode.UNAVAILABLE,
    ReadOnlyError: StatusCode.UNAVAILABLE,
    CorruptionError: StatusCode.DATA_LOSS,
    QuarantinedError: StatusCode.DATA_LOSS,
}

_INTERNAL_TEXTS: Final[Mapping[StatusCode, str]] = {
    StatusCode.INTERNAL: "Service internal error: the details are in the log of the server",
    StatusCode.UNAVAILABLE: "Service internal error: the store does not accept this request now, try again later",
    StatusCode.DATA_LOSS: "Service internal error: stored data failed its checks, the details are in the log",
}

_READ_ONLY: Final = (
    "Service internal error: an input/output error of the disk; what it concerns takes no more writes until the server "
    "is restarted, the details are in the log"
)

_QUARANTINED: Final = (
    "Service internal error: collection `{}` is quarantined, its stored data failed the checks of the last start; "
    "the reason is in the log"
)

_WIRE_BYTES_MAX: Final = 4096
"""Status texts travel in a header, and clients refuse headers of more than 8 KiB in all."""

_ESCAPED_BYTES: Final = 3
_CUT: Final = "..."


class Status(NamedTuple):
    """How a call ends that failed."""

    code: StatusCode
    text: str
    metadata: tuple[tuple[str, str], ...] = ()


UNEXPECTED: Final = Status(StatusCode.INTERNAL, _INTERNAL_TEXTS[StatusCode.INTERNAL])
SHUTTING_DOWN: Final = Status(StatusCode.UNAVAILABLE, "the server is shutting down, try again later")


def code_of(kind: type[PointstoreError]) -> StatusCode:
    """Return the code of an error class: its own row, or that of the nearest class above it.

    Raises:
        KeyError: for the classes that only group others.

    """
    for ancestor in kind.__mro__:
        if ancestor in CODES:
            return CODES[ancestor]
    raise KeyError(kind)


def status_of(error: PointstoreError) -> Status:
    """Return what a client is told: a request error word for word, a fixed line for an error of ours."""
    code = code_of(type(error))
    if isinstance(error, QuarantinedError):
        return Status(code, clip(_QUARANTINED.format(error.collection)))
    if isinstance(error, ReadOnlyError):
        return Status(code, _READ_ONLY)
    if not isinstance(error, RequestError):
        return Status(code, _INTERNAL_TEXTS[code])
    return Status(code, clip(error.message), _metadata(error))


def _metadata(error: RequestError) -> tuple[tuple[str, str], ...]:
    match error:
        case RateLimitedError(retry_after_s=int(seconds)):
            return (("retry-after", str(seconds)),)
        case InsufficientStorageError():
            return (("qdrant-insufficient-storage", "1"),)
        case _:
            return ()


def clip(text: str) -> str:
    """Cut a text that repeats a client's huge value, so that it fits a header once percent-encoded."""
    size = 0
    for index, char in enumerate(text):
        size += 1 if " " <= char <= "~" and char != "%" else _ESCAPED_BYTES * len(char.encode())
        if size > _WIRE_BYTES_MAX:
            return text[:index] + _CUT
    return text
