"""The error tree.

Two branches: `RequestError` is the client's fault and its text goes out verbatim with the prefix of its class;
`StorageError` is ours: the client sees one fixed line and the log sees everything. Mapping to gRPC status codes is the
wire layer's business (`wire/status.py`); nothing here knows about it.

    PointstoreError
    ├── RequestError
    │   ├── ConversionError         malformed message content, no prefix
    │   ├── ValidationError         "Validation error in body: [...]"
    │   ├── WrongInputError         "Wrong input: "
    │   │   └── AlreadyExistsError
    │   ├── BadRequestError         "Bad request: "
    │   ├── NotFoundError           "Not found: "
    │   ├── UnsupportedError        no prefix: a cluster operation, or something not built yet
    │   ├── ForbiddenError          "Forbidden: "
    │   ├── InferenceError          "Service internal error: " as the reference words it
    │   │   └── QueryInferenceError "Inference error: " and the text of the inner error
    │   ├── OperationTimeoutError   "Timeout: "
    │   ├── RateLimitedError        "Rate limiting exceeded: "
    │   ├── InsufficientStorageError "Insufficient storage: "
    │   ├── MessageTooLargeError    "Message too large: "
    │   ├── OverloadedError         "Overloaded: "
    │   └── CallCancelledError      "Cancelled: "
    └── StorageError                "Service internal error: "
        ├── UnavailableError        closing, or short of something that the machine may have again
        │   └── ReadOnlyError       no writes after an I/O error, until restarted
        └── CorruptionError         data on disk that fails its checks
            └── QuarantinedError    a collection that is set aside because of that
"""

from __future__ import annotations

from typing import ClassVar


class PointstoreError(Exception):
    """Root of every error that this package raises on purpose."""

    prefix: ClassVar[str] = ""

    @property
    def message(self) -> str:
        """The complete text for a client: class prefix and detail."""
        return self.prefix + str(self)


class RequestError(PointstoreError):
    """The request cannot be served; nothing was changed.

    Args:
        text: the detail, without the prefix of the class.
        when_applied: the reference server notices this only while it applies a logged operation, so a client that
            does not wait (`wait=false`) is never told (specification part 1, 8.4).
    """

    def __init__(self, text: str, *, when_applied: bool = False) -> None:
        super().__init__(text)
        self.when_applied = when_applied


class ConversionError(RequestError):
    """A message part that cannot be converted: bad id, path, enum value, missing oneof member."""


class ValidationError(RequestError):
    """One or more declarative field rules are violated.

    Args:
        violations: pairs of field path and reason.
    """

    def __init__(self, violations: list[tuple[str, str]]) -> None:
        body = "; ".join(f"{path}: {reason}" for path, reason in violations)
        super().__init__(f"Validation error in body: [{body}]")
        self.violations = violations


class WrongInputError(RequestError):
    """Well-formed, but in conflict with the collection or with itself."""

    prefix = "Wrong input: "


class AlreadyExistsError(WrongInputError):
    """A collection or alias of that name exists."""


class BadRequestError(RequestError):
    """Limits, strict mode, empty updates."""

    prefix = "Bad request: "


class NotFoundError(RequestError):
    """A collection, point, alias or snapshot that the request names does not exist."""

    prefix = "Not found: "


class UnsupportedError(RequestError):
    """An operation that needs a cluster, or one that this version does not implement; the text names it."""


class ForbiddenError(RequestError):
    """The credentials do not allow the operation."""

    prefix = "Forbidden: "


class InferenceError(RequestError):
    """The request needs an inference service and none is configured."""

    prefix = "Service internal error: "


class QueryInferenceError(InferenceError):
    """A query's vector needs inference that is not possible; the text is the complete one of the inner error."""

    prefix = "Inference error: "


class OperationTimeoutError(RequestError):
    """A read or collection operation ran longer than its timeout."""

    prefix = "Timeout: "


class RateLimitedError(RequestError):
    """A token bucket is empty.

    Args:
        text: the detail.
        retry_after_s: whole seconds until a retry can succeed; None when it never can.
    """

    prefix = "Rate limiting exceeded: "

    def __init__(self, text: str, retry_after_s: int | None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class InsufficientStorageError(RequestError):
    """Disk or map full; nothing of the request was applied, earlier data is untouched."""

    prefix = "Insufficient storage: "


class MessageTooLargeError(RequestError):
    """A request or a reply is larger than the service handles at once; the text names size, limit and setting."""

    prefix = "Message too large: "


class OverloadedError(RequestError):
    """The service has as much work as it can hold; the same request can succeed later."""

    prefix = "Overloaded: "


class CallCancelledError(RequestError):
    """The client has given up the call, so nobody would read the reply."""

    prefix = "Cancelled: "


class StorageError(PointstoreError):
    """Ours: I/O, corruption, a bug. The detail is for the log only."""

    prefix = "Service internal error: "


class UnavailableError(StorageError):
    """The store is closing, or the machine refuses something that it may grant later; nothing was changed."""


class ReadOnlyError(UnavailableError):
    """An I/O error: what became of this write is unknown, and later ones are refused until a start has checked."""


class CorruptionError(StorageError):
    """A record or file fails its checksum or contradicts another."""


class QuarantinedError(CorruptionError):
    """The collection failed the checks of the last start; the others are not concerned.

    Args:
        collection: its name.
        reason: for the log only.
    """

    def __init__(self, collection: str, reason: str) -> None:
        super().__init__(f"collection {collection} is quarantined: {reason}")
        self.collection = collection


def collection_not_found(name: str) -> NotFoundError:
    """Return the error for a collection name that resolves to nothing."""
    return NotFoundError(f"Collection `{name}` doesn't exist!")


def unknown_vector_name(name: str, *, when_applied: bool = False) -> WrongInputError:
    """Return the error for a vector name that the collection does not define."""
    return WrongInputError(f"Not existing vector name error: {name}", when_applied=when_applied)
