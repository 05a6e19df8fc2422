"""The heap is trimmed after large messages and only then."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, cast

import pytest

from pointstore.wire.large_messages import LARGE_BYTES, trimming

if TYPE_CHECKING:
    from grpc import ServicerContext

CONTEXT = cast("ServicerContext", None)


@pytest.mark.parametrize(
    ("received", "sent", "trims"),
    [(0, 0, 0), (LARGE_BYTES - 1, LARGE_BYTES - 1, 0), (LARGE_BYTES, 0, 1), (0, LARGE_BYTES, 1)],
)
def test_size_of_request_or_reply_decides(received: int, sent: int, trims: int) -> None:
    trimmed: list[None] = []
    handler = trimming(lambda _body, _context: bytes(sent), lambda: trimmed.append(None))
    assert len(handler(bytes(received), CONTEXT)) == sent
    assert len(trimmed) == trims


def test_refused_requests_count_too() -> None:
    def refuse(_body: bytes, _context: ServicerContext) -> NoReturn:
        msg = "no"
        raise ValueError(msg)

    trimmed: list[None] = []
    with pytest.raises(ValueError, match="no"):
        trimming(refuse, lambda: trimmed.append(None))(bytes(LARGE_BYTES), CONTEXT)
    assert len(trimmed) == 1


def test_the_heap_of_this_system_can_be_trimmed() -> None:
    assert trimming(lambda body, _context: body)(bytes(LARGE_BYTES), CONTEXT) == bytes(LARGE_BYTES)
