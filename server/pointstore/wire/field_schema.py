"""Definitions of payload indexes on the wire: CreateFieldIndex to domain types, `payload_schema` of Get back.

Members that a client did not give stay absent in the echo; those that it gave come back normalised (specification part
2, 9.5).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pointstore.core.errors import BadRequestError, ConversionError, WrongInputError
from pointstore.core.fields import FieldParams, FieldSchema, FieldType, Stopwords
from pointstore.core.filter import elements_of
from pointstore.core.path import Each, Key, Path, parse_path
from pointstore.text.languages import normalised_languages, stemmer_language
from pointstore.wire import mirror
from qdrant_grpc import collections_pb2

if TYPE_CHECKING:
    from pointstore.core.catalog import FieldInfo
    from qdrant_grpc import points_pb2

_MEMBERS: Final[dict[int, str]] = {kind: f"{kind.name.lower()}_index_params" for kind in FieldType}
_BOTH_OFF: Final = "the 'lookup' and 'range' capabilities can't be both disabled"


def decode_field_schema(request: points_pb2.CreateFieldIndexCollection) -> FieldSchema:
    """Decode what kind of index is asked for; parameters without a variant are none.

    Raises:
        ConversionError: no type or parameters of another one, an unknown number or language.
        BadRequestError: an unknown type and nothing that tells which one is meant.
        WrongInputError: `nested` is no array above the field.

    """
    if not request.HasField("field_type"):
        raise ConversionError("cannot convert field_type")
    member = request.field_index_params.WhichOneof("index_params")
    if request.field_type not in _MEMBERS:
        if member is not None:
            raise ConversionError("field type is missing")
        raise BadRequestError("Can't auto-detect field type, please specify `field_schema` in the request")
    kind = FieldType(request.field_type)
    if member is None:
        return FieldSchema(kind)
    if member != _MEMBERS[kind]:
        raise ConversionError(f"field_type ({kind.name.capitalize()}) and field_index_params do not match")
    return FieldSchema(kind, _params(request))


def write_field_info(info: FieldInfo, message: collections_pb2.PayloadSchemaInfo) -> None:
    """Fill the echo of an index; `points` is present even where 0."""
    message.data_type = collections_pb2.PayloadSchemaType.ValueType(info.schema.type + 1)
    message.points = info.points
    params = info.schema.params
    if params is None:
        return
    mirrored = getattr(message.params, _MEMBERS[info.schema.type])
    mirror.write(params, mirrored)
    if isinstance(mirrored, collections_pb2.KeywordIndexParams) and params.prefix:
        mirrored.prefix.SetInParent()
    if isinstance(mirrored, collections_pb2.TextIndexParams):
        _write_text(params, mirrored)


def _params(request: points_pb2.CreateFieldIndexCollection) -> FieldParams:
    message = getattr(request.field_index_params, _MEMBERS[FieldType(request.field_type)])
    params = mirror.read(message, FieldParams)
    if params.lookup is False and params.range is False:
        raise ConversionError(_BOTH_OFF)
    if isinstance(message, collections_pb2.KeywordIndexParams) and message.HasField("prefix"):
        params = replace(params, prefix=True)
    if isinstance(message, collections_pb2.TextIndexParams):
        params = replace(
            params,
            stopwords=_stopwords(message.stopwords) if message.HasField("stopwords") else None,
            stemmer=_stemmer(message.stemmer),
            scoring=_scoring(message.scoring) if message.HasField("scoring") else None,
        )
    if params.nested is None:
        return params
    return replace(params, nested=_nested(parse_path(request.field_name), parse_path(params.nested)))


def _stopwords(message: collections_pb2.StopwordsSet) -> Stopwords:
    return Stopwords(normalised_languages(message.languages), tuple(sorted(set(message.custom))))


def _stemmer(message: collections_pb2.StemmingAlgorithm) -> str | None:
    match message.WhichOneof("stemming_params"):
        case "snowball":
            return stemmer_language(message.snowball.language)
        case "disabled":
            return ""
        case None:
            return None


def _scoring(message: collections_pb2.TextScoringParams) -> bool:
    if message.type != collections_pb2.Bm25:
        raise ConversionError(f"unknown scoring type: {message.type}")
    return True


def _nested(field: Path, array: Path) -> str:
    """Return the canonical text of an array whose elements hold the field (specification part 2, 10.1)."""
    elements = elements_of(array)
    text = str(elements)
    if elements.steps.count(Each()) > 1:
        raise WrongInputError(f"nested `{text}` must point to a single array level, like `offers` or `offers[]`")
    depth = len(elements.steps)
    if field.steps[:depth] != elements.steps or not isinstance(next(iter(field.steps[depth:]), None), Key):
        raise WrongInputError(
            f"field `{field}` must be inside the elements of nested `{text}`, like `{text}.price`",
        )
    return text


def _write_text(params: FieldParams, message: collections_pb2.TextIndexParams) -> None:
    if params.stopwords is not None:
        message.stopwords.languages.extend(params.stopwords.languages)
        message.stopwords.custom.extend(params.stopwords.custom)
        message.stopwords.SetInParent()
    if params.stemmer:
        message.stemmer.snowball.language = params.stemmer
    elif params.stemmer is not None:
        message.stemmer.disabled.SetInParent()
    if params.scoring:
        message.scoring.SetInParent()
