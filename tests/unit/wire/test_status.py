"""Errors to statuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn
from urllib.parse import quote

import pytest
from grpc import StatusCode

from pointstore.core import errors
from pointstore.core.errors import (
    AlreadyExistsError,
    ConversionError,
    CorruptionError,
    InferenceError,
    InsufficientStorageError,
    NotFoundError,
    PointstoreError,
    RateLimitedError,
    StorageError,
    UnavailableError,
    UnsupportedError,
    ValidationError,
    WrongInputError,
)
from pointstore.wire.status import CODES, clip, code_of, status_of
from pointstore.wire.unary import guarded
from qdrant_grpc.points_pb2 import CountPoints

if TYPE_CHECKING:
    from collections.abc import Iterator


class Aborted(Exception):  # noqa: N818  what grpc's abort does
    """The call ended with a status."""


class Context:
    """Records how a call ends."""

    def __init__(self) -> None:
        self.code: StatusCode | None = None
        self.text = ""
        self.metadata: tuple[tuple[str, str], ...] = ()

    def set_trailing_metadata(self, metadata: tuple[tuple[str, str], ...]) -> None:
        self.metadata = metadata

    def abort(self, code: StatusCode, text: str) -> NoReturn:
        self.code, self.text = code, text
        raise Aborted


def below(kind: type[PointstoreError]) -> Iterator[type[PointstoreError]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from below(subclass)


def ended(error: Exception) -> Context:
    context = Context()

    def handler(_body: bytes, _context: object) -> bytes:
        raise error

    with pytest.raises(Aborted):
        guarded("/qdrant.Points/Count", handler)(b"", context)  # type: ignore[arg-type]
    return context


def test_every_leaf_has_a_row() -> None:
    tree = {kind for kind in below(PointstoreError) if kind.__module__ == errors.__name__}
    leaves = {kind for kind in tree if not tree.intersection(kind.__subclasses__())}
    assert len(leaves) > 10
    assert leaves - CODES.keys() == set()


def test_errors_that_other_layers_derive_inherit_a_code() -> None:
    class SegmentError(CorruptionError):
        """Of a lower layer."""

    assert code_of(SegmentError) is StatusCode.DATA_LOSS


def test_grouping_classes_have_no_code() -> None:
    with pytest.raises(KeyError):
        code_of(PointstoreError)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ConversionError("No ID options provided"), StatusCode.INVALID_ARGUMENT, "No ID options provided"),
        (
            ValidationError([("a", "b"), ("c", "d")]),
            StatusCode.INVALID_ARGUMENT,
            "Validation error in body: [a: b; c: d]",
        ),
        (WrongInputError("x"), StatusCode.INVALID_ARGUMENT, "Wrong input: x"),
        (AlreadyExistsError("x"), StatusCode.ALREADY_EXISTS, "Wrong input: x"),
        (NotFoundError("x"), StatusCode.NOT_FOUND, "Not found: x"),
        (UnsupportedError("x"), StatusCode.UNIMPLEMENTED, "x"),
        (InferenceError("x"), StatusCode.INTERNAL, "Service internal error: x"),
    ],
)
def test_request_errors_go_out_word_for_word(error: PointstoreError, code: StatusCode, text: str) -> None:
    context = ended(error)
    assert (context.code, context.text, context.metadata) == (code, text, ())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StorageError("/data/secret.mdb"), StatusCode.INTERNAL),
        (UnavailableError("/data/secret.mdb"), StatusCode.UNAVAILABLE),
        (CorruptionError("/data/secret.mdb"), StatusCode.DATA_LOSS),
        (KeyError("/data/secret.mdb"), StatusCode.INTERNAL),
    ],
)
def test_our_errors_keep_their_details(error: Exception, code: StatusCode) -> None:
    context = ended(error)
    assert context.code is code
    assert context.text.startswith("Service internal error: ")
    assert "secret" not in context.text


def test_trailing_metadata() -> None:
    assert ended(RateLimitedError("x", 3)).metadata == (("retry-after", "3"),)
    assert ended(RateLimitedError("x", None)).metadata == ()
    assert ended(InsufficientStorageError("x")).metadata == (("qdrant-insufficient-storage", "1"),)


def test_undecodable_body() -> None:
    context = Context()

    def handler(body: bytes, _context: object) -> bytes:
        return CountPoints.FromString(body).SerializeToString()

    guard = guarded("/qdrant.Points/Count", handler)
    with pytest.raises(Aborted):
        guard(b"\xff\xff", context)  # type: ignore[arg-type]
    assert (context.code, context.text) == (
        StatusCode.INVALID_ARGUMENT,
        "the request body of /qdrant.Points/Count cannot be decoded",
    )
    assert guard(b"", context) == b""  # type: ignore[arg-type]


@pytest.mark.parametrize("char", ["a", "%", "ü", "\n", "\N{GRINNING FACE}"])
def test_long_texts_fit_a_header(char: str) -> None:
    status = status_of(NotFoundError(char * 100_000))
    assert status.text.endswith("...")
    assert 3500 < len(quote(status.text, safe=" `:!'")) < 4200
    assert clip(char * 300) == char * 300
