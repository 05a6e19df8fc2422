"""Tests of the error tree: prefixes and texts (specification part 1, 2)."""

from __future__ import annotations

import pytest

from pointstore.core import errors
from pointstore.core.errors import PointstoreError, RequestError, StorageError, ValidationError


@pytest.mark.parametrize(
    ("kind", "prefix"),
    [
        (errors.ConversionError, ""),
        (errors.WrongInputError, "Wrong input: "),
        (errors.AlreadyExistsError, "Wrong input: "),
        (errors.BadRequestError, "Bad request: "),
        (errors.NotFoundError, "Not found: "),
        (errors.UnsupportedError, ""),
        (errors.ForbiddenError, "Forbidden: "),
        (errors.InferenceError, "Service internal error: "),
        (errors.QueryInferenceError, "Inference error: "),
        (errors.OperationTimeoutError, "Timeout: "),
        (errors.InsufficientStorageError, "Insufficient storage: "),
        (errors.MessageTooLargeError, "Message too large: "),
        (errors.OverloadedError, "Overloaded: "),
        (errors.CallCancelledError, "Cancelled: "),
    ],
)
def test_prefix_of_a_request_error(kind: type[RequestError], prefix: str) -> None:
    error = kind("text")
    assert error.message == prefix + "text"
    assert not error.when_applied
    assert kind("text", when_applied=True).when_applied


@pytest.mark.parametrize("kind", [StorageError, errors.UnavailableError, errors.CorruptionError])
def test_prefix_of_a_storage_error(kind: type[StorageError]) -> None:
    assert kind("x").message == "Service internal error: x"
    assert not issubclass(kind, RequestError)


def test_violations_are_listed_in_one_text() -> None:
    error = ValidationError([("points[0].id", "is bad"), ("limit", "value 0 invalid, must be 1 or larger")])
    text = "Validation error in body: [points[0].id: is bad; limit: value 0 invalid, must be 1 or larger]"
    assert error.message == text
    assert error.violations[1][0] == "limit"


def test_rate_limits_tell_when_to_retry() -> None:
    error = errors.RateLimitedError("slow down", 3)
    assert (error.message, error.retry_after_s) == ("Rate limiting exceeded: slow down", 3)


def test_texts_of_frequent_errors() -> None:
    assert errors.collection_not_found("c").message == "Not found: Collection `c` doesn't exist!"
    assert errors.unknown_vector_name("").message == "Wrong input: Not existing vector name error: "
    assert errors.unknown_vector_name("v", when_applied=True).when_applied


def test_every_class_is_in_the_tree_of_the_docstring() -> None:
    found = {PointstoreError}
    while grown := {sub for kind in found for sub in kind.__subclasses__()} - found:
        found |= {kind for kind in grown if kind.__module__ == errors.__name__}
        if not {kind for kind in grown if kind.__module__ == errors.__name__}:
            break
    assert errors.__doc__ is not None
    assert [kind.__name__ for kind in found if f" {kind.__name__} " not in errors.__doc__.replace("\n", " \n")] == []
