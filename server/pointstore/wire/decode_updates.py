"""Decode updates: the requests of the write RPCs and the operations of a batch, which carry the same content.

Order within one update follows the reference, because the first error is what the client is told: targets, then what is
done to them, shard keys, and last that there are no targets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pointstore.core.errors import ConversionError
from pointstore.core.path import Key, parse_path
from pointstore.core.payload import check_payloads, metadata_of, pack_payload
from pointstore.core.update import (
    ClearPayload,
    DeletePayload,
    DeletePoints,
    DeleteVectors,
    OverwritePayload,
    SetPayload,
)
from pointstore.wire.decode_filters import decode_filter
from pointstore.wire.decode_ids import decode_point_id
from pointstore.wire.decode_routing import ShardKeys, decode_shard_keys
from pointstore.wire.decode_upserts import decode_update_vectors, decode_upsert, refuse_no_points
from pointstore.wire.points_view_pb2 import PointStructListView, UpdatePointVectorsView, UpdateVectorsView

if TYPE_CHECKING:
    from pointstore.core.path import Path
    from pointstore.core.schema import Json
    from pointstore.core.update import Selector, Update
    from pointstore.wire.points_view_pb2 import UpsertPointsView
    from qdrant_grpc import points_pb2

    _Operation = points_pb2.PointsUpdateOperation
    _Routed = (
        UpsertPointsView
        | points_pb2.DeletePoints
        | points_pb2.UpdatePointVectors
        | points_pb2.DeletePointVectors
        | points_pb2.SetPayloadPoints
        | points_pb2.DeletePayloadPoints
        | points_pb2.ClearPayloadPoints
        | _Operation.PointStructList
        | _Operation.SetPayload
        | _Operation.OverwritePayload
        | _Operation.DeletePayload
        | _Operation.UpdateVectors
        | _Operation.DeleteVectors
        | _Operation.DeletePoints
        | _Operation.ClearPayload
    )
    _SetPayload = points_pb2.SetPayloadPoints | _Operation.SetPayload
    _OverwritePayload = points_pb2.SetPayloadPoints | _Operation.OverwritePayload
    _DeletePayload = points_pb2.DeletePayloadPoints | _Operation.DeletePayload
    _DeleteVectors = points_pb2.DeletePointVectors | _Operation.DeleteVectors
    _DeletePoints = points_pb2.DeletePoints | _Operation.DeletePoints
    _ClearPayload = points_pb2.ClearPayloadPoints | _Operation.ClearPayload

_NO_POINTS = "PointSelector is missing"
_NO_SELECTOR = "points_selector is expected"


@dataclass(frozen=True, slots=True)
class Decoded:
    """An update and where it is to go.

    Attributes:
        update: what to write.
        shard_keys: None for a request without a selector of shards.

    """

    update: Update
    shard_keys: ShardKeys | None = None


def shard_keys_of(message: _Routed) -> ShardKeys | None:
    """Decode the shard key selector of a request or operation.

    Raises:
        ConversionError: see `decode_shard_keys`.

    """
    return decode_shard_keys(message.shard_key_selector) if message.HasField("shard_key_selector") else None


def decode_selector(message: points_pb2.PointsSelector) -> Selector:
    """Decode a list of ids, which may still be empty, or a filter.

    Raises:
        ConversionError: no variant, or a bad part.
        UnsupportedError: a condition that is not implemented.

    """
    match message.WhichOneof("points_selector_one_of"):
        case "points":
            return tuple([decode_point_id(point_id) for point_id in message.points.ids])
        case "filter":
            return decode_filter(message.filter)
        case None:
            msg = "Malformed PointsSelector type"
            raise ConversionError(msg)


def _points(message: _DeletePoints | _ClearPayload) -> Selector:
    if not message.HasField("points"):
        raise ConversionError(_NO_POINTS)
    return decode_selector(message.points)


def _points_selector(message: _SetPayload | _OverwritePayload | _DeletePayload | _DeleteVectors) -> Selector:
    if not message.HasField("points_selector"):
        raise ConversionError(_NO_SELECTOR)
    return decode_selector(message.points_selector)


def _decoded(update: Update, selector: Selector, shard_keys: ShardKeys | None) -> Decoded:
    if isinstance(selector, tuple):
        refuse_no_points(selector)
    return Decoded(update, shard_keys)


def decode_delete(message: _DeletePoints) -> Decoded:
    """Decode a deletion of points."""
    selector = _points(message)
    return _decoded(DeletePoints(selector), selector, shard_keys_of(message))


def decode_clear_payload(message: _ClearPayload) -> Decoded:
    """Decode a request to empty payloads."""
    selector = _points(message)
    return _decoded(ClearPayload(selector), selector, shard_keys_of(message))


def decode_delete_vectors(message: _DeleteVectors) -> Decoded:
    """Decode a deletion of vectors by name."""
    selector = _points_selector(message)
    if not message.HasField("vectors"):
        msg = "vectors is expected"
        raise ConversionError(msg)
    update = DeleteVectors(selector, tuple(message.vectors.names))
    return _decoded(update, selector, shard_keys_of(message))


def decode_set_payload(message: _SetPayload) -> Decoded:
    """Decode a merge into payloads, at the top level or at a path."""
    selector = _points_selector(message)
    key = parse_path(message.key) if message.HasField("key") else None
    tree = metadata_of(message.payload.items())
    payload = pack_payload(tree)
    check_payloads([payload if key is None else pack_payload(_placed(tree, key))])
    return _decoded(SetPayload(selector, payload, key), selector, shard_keys_of(message))


def _placed(tree: dict[str, Json], key: Path) -> dict[str, Json]:
    """Return the tree as deep in a payload as the path would put it."""
    first, *rest = key.steps
    value: Json = tree
    for step in reversed(rest):
        value = {step.name: value} if isinstance(step, Key) else [value]
    # The grammar begins every path with a key.
    return {first.name if isinstance(first, Key) else "": value}


def decode_overwrite_payload(message: _OverwritePayload) -> Decoded:
    """Decode a replacement of payloads; the field `key` has no meaning here and is not looked at."""
    selector = _points_selector(message)
    payload = pack_payload(metadata_of(message.payload.items()))
    check_payloads([payload])
    return _decoded(OverwritePayload(selector, payload), selector, shard_keys_of(message))


def decode_delete_payload(message: _DeletePayload) -> Decoded:
    """Decode a removal of payload paths."""
    selector = _points_selector(message)
    keys = tuple([parse_path(key) for key in message.keys])
    return _decoded(DeletePayload(selector, keys), selector, shard_keys_of(message))


def decode_point_vectors(message: points_pb2.UpdatePointVectors) -> Decoded:
    """Decode an update of vectors."""
    view = UpdatePointVectorsView.FromString(message.SerializeToString())
    return Decoded(decode_update_vectors(view.points, message), shard_keys_of(message))


def decode_operation(message: points_pb2.PointsUpdateOperation) -> Decoded:
    """Decode one operation of a batch.

    Raises:
        RequestError: as the decoder of the RPC of the same name.

    """
    match message.WhichOneof("operation"):
        case "upsert":
            # Serialised again it is canonical, which is what the view understands.
            points = PointStructListView.FromString(message.upsert.SerializeToString())
            return Decoded(decode_upsert(points), shard_keys_of(message.upsert))
        case "delete_deprecated":
            selector = decode_selector(message.delete_deprecated)
            return _decoded(DeletePoints(selector), selector, None)
        case "set_payload":
            return decode_set_payload(message.set_payload)
        case "overwrite_payload":
            return decode_overwrite_payload(message.overwrite_payload)
        case "delete_payload":
            return decode_delete_payload(message.delete_payload)
        case "clear_payload_deprecated":
            selector = decode_selector(message.clear_payload_deprecated)
            return _decoded(ClearPayload(selector), selector, None)
        case "update_vectors":
            vectors = UpdateVectorsView.FromString(message.update_vectors.SerializeToString())
            return Decoded(
                decode_update_vectors(vectors.points, message.update_vectors), shard_keys_of(message.update_vectors)
            )
        case "delete_vectors":
            return decode_delete_vectors(message.delete_vectors)
        case "delete_points":
            return decode_delete(message.delete_points)
        case "clear_payload":
            return decode_clear_payload(message.clear_payload)
        case None:
            msg = "Operation is missing"
            raise ConversionError(msg)
