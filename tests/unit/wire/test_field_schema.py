"""Definitions of payload indexes: messages to domain types, and the echo (specification part 2, 9 and 10.1)."""

from __future__ import annotations

import pytest
from google.protobuf import text_format

from pointstore.core.catalog import FieldInfo
from pointstore.core.errors import BadRequestError, ConversionError, RequestError, WrongInputError
from pointstore.core.fields import FieldParams, FieldSchema, FieldType, Stopwords
from pointstore.core.schema import Memory
from pointstore.wire.field_schema import decode_field_schema, write_field_info
from qdrant_grpc import collections_pb2, points_pb2


def decode(request: str) -> FieldSchema:
    """Decode a request in text format."""
    return decode_field_schema(text_format.Parse(request, points_pb2.CreateFieldIndexCollection()))


def with_params(kind: str, params: str, field: str = "a") -> str:
    """Return a request with parameters of its type."""
    member = f"{kind.lower()}_index_params {{ {params} }}"
    return f"field_name: '{field}' field_type: FieldType{kind} field_index_params {{ {member} }}"


def echo(schema: FieldSchema, points: int = 0) -> collections_pb2.PayloadSchemaInfo:
    """Return the echo of a definition."""
    message = collections_pb2.PayloadSchemaInfo()
    write_field_info(FieldInfo("a", schema, points), message)
    return message


@pytest.mark.parametrize("kind", FieldType)
def test_type_alone(kind: FieldType) -> None:
    schema = decode(f"field_type: FieldType{kind.name.capitalize()}")
    assert schema == FieldSchema(kind)
    assert decode(f"field_type: FieldType{kind.name.capitalize()} field_index_params {{}}") == schema
    name = collections_pb2.PayloadSchemaType.Value(kind.name.capitalize())
    assert echo(schema, 7) == collections_pb2.PayloadSchemaInfo(data_type=name, points=7)
    assert echo(schema).HasField("points")


@pytest.mark.parametrize("kind", [kind for kind in FieldType if kind is not FieldType.TEXT])
def test_parameters_without_members_are_parameters(kind: FieldType) -> None:
    schema = decode(with_params(kind.name.capitalize(), ""))
    assert schema == FieldSchema(kind, FieldParams())
    member = echo(schema).params.WhichOneof("index_params")
    assert member == f"{kind.name.lower()}_index_params"
    assert not getattr(echo(schema).params, member).ListFields()


ALL = "on_disk: true enable_hnsw: false memory: Cached"
EVERY_TEXT_OPTION = (
    "tokenizer: Code lowercase: false ascii_folding: true min_token_len: 0 max_token_len: 9 phrase_matching: false "
    "scoring { type: Bm25 } stemmer { disabled {} } stopwords {}"
)
PARAMS = [
    ("Keyword", f"{ALL} is_tenant: true prefix {{}}", FieldParams(is_tenant=True, prefix=True)),
    ("Keyword", f"{ALL} is_tenant: false", FieldParams(is_tenant=False)),
    (
        "Integer",
        f"{ALL} lookup: true range: false is_principal: true",
        FieldParams(lookup=True, range=False, is_principal=True),
    ),
    ("Integer", f"{ALL} lookup: false", FieldParams(lookup=False)),
    ("Float", f"{ALL} is_principal: false", FieldParams(is_principal=False)),
    ("Geo", ALL, FieldParams()),
    ("Bool", ALL, FieldParams()),
    ("Datetime", f"{ALL} is_principal: true", FieldParams(is_principal=True)),
    ("Uuid", f"{ALL} is_tenant: true", FieldParams(is_tenant=True)),
    ("Text", f"{ALL} tokenizer: Word", FieldParams(tokenizer=3)),
    (
        "Text",
        f"{ALL} {EVERY_TEXT_OPTION}",
        FieldParams(
            tokenizer=5,
            lowercase=False,
            ascii_folding=True,
            min_token_len=0,
            max_token_len=9,
            phrase_matching=False,
            scoring=True,
            stemmer="",
            stopwords=Stopwords(),
        ),
    ),
]


@pytest.mark.parametrize(("kind", "given", "params"), PARAMS)
def test_parameters_are_echoed_as_given(kind: str, given: str, params: FieldParams) -> None:
    request = text_format.Parse(with_params(kind, given), points_pb2.CreateFieldIndexCollection())
    schema = decode_field_schema(request)
    expected = {name: getattr(params, name) for name in FieldParams.__slots__}
    expected |= {"on_disk": True, "enable_hnsw": False, "memory": Memory.CACHED}
    assert schema == FieldSchema(FieldType[kind.upper()], FieldParams(**expected))
    assert echo(schema).params == request.field_index_params


@pytest.mark.parametrize(
    ("kind", "given", "echoed"),
    [
        ("Keyword", "memory: MemoryUnknown", ""),
        ("Text", "tokenizer: Word stemmer {}", "tokenizer: Word"),
        (
            "Text",
            "tokenizer: Word stemmer { snowball { language: 'DE' } }",
            "tokenizer: Word stemmer { snowball { language: 'german' } }",
        ),
        (
            "Text",
            "tokenizer: Word stopwords { languages: ['en', 'GERMAN', 'english', 'jp'] custom: ['b', 'A', 'b'] }",
            "tokenizer: Word stopwords { languages: ['english', 'german', 'japanese'] custom: ['A', 'b'] }",
        ),
    ],
)
def test_normalised_parameters(kind: str, given: str, echoed: str) -> None:
    expected = text_format.Parse(with_params(kind, echoed), points_pb2.CreateFieldIndexCollection())
    assert echo(decode(with_params(kind, given))).params == expected.field_index_params


LONG_SERIES = [
    ("arabic", "ar"),
    ("azerbaijani", "az"),
    ("basque", "eu"),
    ("bengali", "bn"),
    ("catalan", "ca"),
    ("chinese", "zh"),
    ("hinglish", "hi-en"),
    ("kazakh", "kk"),
    ("nepali", "ne"),
    ("slovene", "sl"),
    ("tajik", "tg"),
]


@pytest.mark.parametrize(("name", "code"), LONG_SERIES)
def test_short_names_of_languages(name: str, code: str) -> None:
    schema = decode(with_params("Text", f"tokenizer: Word stopwords {{ languages: '{code}' }}"))
    assert schema.effective.stopwords == Stopwords((name,))


@pytest.mark.parametrize(
    ("request_text", "error", "text"),
    [
        ("", ConversionError, "cannot convert field_type"),
        ("field_index_params { keyword_index_params {} }", ConversionError, "cannot convert field_type"),
        ("field_type: 8 field_index_params { keyword_index_params {} }", ConversionError, "field type is missing"),
        (
            "field_type: 8",
            BadRequestError,
            "Bad request: Can't auto-detect field type, please specify `field_schema` in the request",
        ),
        (
            "field_type: 8 field_index_params {}",
            BadRequestError,
            "Bad request: Can't auto-detect field type, please specify `field_schema` in the request",
        ),
        (
            "field_type: FieldTypeKeyword field_index_params { uuid_index_params {} }",
            ConversionError,
            "field_type (Keyword) and field_index_params do not match",
        ),
        (
            "field_type: FieldTypeDatetime field_index_params { integer_index_params {} }",
            ConversionError,
            "field_type (Datetime) and field_index_params do not match",
        ),
        (with_params("Text", ""), ConversionError, "unknown tokenizer type"),
        (with_params("Text", "tokenizer: Unknown"), ConversionError, "unknown tokenizer type"),
        (with_params("Text", "tokenizer: 6"), ConversionError, "unknown tokenizer type"),
        (
            with_params("Text", "tokenizer: Word stopwords { languages: ['english', 'Klingon'] }"),
            ConversionError,
            "unknown language: Klingon",
        ),
        (
            with_params("Text", "tokenizer: Word stemmer { snowball { language: 'basque' } }"),
            ConversionError,
            'Language "basque" not found.',
        ),
        (
            with_params("Text", "tokenizer: Word stemmer { snowball {} }"),
            ConversionError,
            'Language "" not found.',
        ),
        (with_params("Text", "tokenizer: Word scoring { type: 3 }"), ConversionError, "unknown scoring type: 3"),
        (with_params("Geo", "memory: 9"), ConversionError, "Cannot convert memory placement: 9"),
        (
            with_params("Integer", "lookup: false range: false"),
            ConversionError,
            "the 'lookup' and 'range' capabilities can't be both disabled",
        ),
    ],
)
def test_refused(request_text: str, error: type[RequestError], text: str) -> None:
    with pytest.raises(error) as refusal:
        decode(request_text)
    assert refusal.value.message == text


@pytest.mark.parametrize("kind", [kind.name.capitalize() for kind in FieldType if kind is not FieldType.TEXT])
@pytest.mark.parametrize(
    ("field", "nested", "canonical"),
    [
        ("o[].p", "o", "o[]"),
        ("o[].p", "o[]", "o[]"),
        ('"o"[].p', '"o"', "o[]"),
        ("o[].p[].q", "o", "o[]"),
        ("w.o[].p", "w.o", "w.o[]"),
        ("o[].p[]", "o", "o[]"),
    ],
)
def test_nested(kind: str, field: str, nested: str, canonical: str) -> None:
    schema = decode(with_params(kind, f"nested: '{nested}'", field))
    assert schema.params == FieldParams(nested=canonical)
    params = echo(schema).params
    assert getattr(params, f"{kind.lower()}_index_params").nested == canonical


@pytest.mark.parametrize(
    ("field", "nested", "elements"),
    [
        ("o[].p", "x", "x[]"),
        ("p", "p", "p[]"),
        ("o", "o", "o[]"),
        ("o[]", "o", "o[]"),
        ("o[][]", "o", "o[]"),
        ("o.p", "o", "o[]"),
        ("o[0].p", "o", "o[]"),
        ("o[].p", "o.p", "o.p[]"),
    ],
)
def test_fields_outside_of_nested_elements(field: str, nested: str, elements: str) -> None:
    with pytest.raises(WrongInputError) as refusal:
        decode(with_params("Keyword", f"nested: '{nested}'", field))
    text = f"field `{field}` must be inside the elements of nested `{elements}`, like `{elements}.price`"
    assert text in refusal.value.message


def test_nested_arrays_in_arrays() -> None:
    with pytest.raises(WrongInputError) as refusal:
        decode(with_params("Keyword", "nested: 'o[].p'", "o[].p[].q"))
    text = "nested `o[].p[]` must point to a single array level, like `offers` or `offers[]`"
    assert text in refusal.value.message


@pytest.mark.parametrize("nested", ["", "o[", "[]"])
def test_malformed_nested_paths(nested: str) -> None:
    with pytest.raises(ConversionError) as refusal:
        decode(with_params("Keyword", f"nested: '{nested}'", "o[].p"))
    assert refusal.value.message == f"Invalid json path: '{nested}'"
