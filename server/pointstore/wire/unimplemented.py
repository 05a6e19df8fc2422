"""Methods of the protocol that this version does not serve: their requests are validated like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message_factory import GetMessageClass

from pointstore.core.errors import UnsupportedError
from pointstore.wire.validate import validate
from qdrant_grpc import POOL

if TYPE_CHECKING:
    from grpc import ServicerContext

    from pointstore.wire.unary import Handler


def unimplemented(path: str, feature: str) -> Handler:
    """Return a handler that refuses every well-formed request.

    Args:
        path: full method path, which must exist in the protocol.
        feature: what is missing, in the plural, for the text.

    """
    service, _, method = path.removeprefix("/").partition("/")
    request_type = GetMessageClass(POOL.FindServiceByName(service).methods_by_name[method].input_type)

    def handler(body: bytes, _context: ServicerContext) -> bytes:
        validate(request_type.FromString(body))
        raise UnsupportedError(f"{path} is not available: {feature} are not implemented")

    return handler
