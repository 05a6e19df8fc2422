"""The payload indexes that a filter needs where strict mode asks for them (specification part 2, 17.3)."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import assert_never

from pointstore.core.errors import BadRequestError
from pointstore.core.fields import FieldIndexes, FieldSchema, FieldType
from pointstore.core.filter import (
    Check,
    DatetimeRange,
    Field,
    Filter,
    GeoBoundingBox,
    GeoPolygon,
    GeoRadius,
    HasId,
    HasVector,
    IsEmpty,
    IsNull,
    MatchAnyIntegers,
    MatchAnyKeywords,
    MatchBoolean,
    MatchExceptIntegers,
    MatchExceptKeywords,
    MatchInteger,
    MatchKeyword,
    MatchPhrase,
    MatchPrefix,
    MatchSubstring,
    MatchText,
    MatchTextAny,
    PayloadCondition,
    Range,
    Slice,
    ValuesCount,
    joined,
    leaves,
)
from pointstore.core.path import Path
from pointstore.core.point import parse_uuid


class Trait(StrEnum):
    """What an index is or is able to, as an error names it: without what follows a slash."""

    BOOL = "bool"
    DATETIME = "datetime"
    FLOAT = "float"
    GEO = "geo"
    INTEGER_LOOKUP = "integer/lookup"
    INTEGER_RANGE = "integer/range"
    KEYWORD = "keyword"
    PREFIX = "keyword (with prefix: true)"
    TENANT = "tenant"
    TEXT = "text"
    PHRASE = "text (with phrase_matching: true)"
    UUID = "uuid"


TraitsAt = Callable[[Path], AbstractSet[Trait]]
"""Look up the traits of the indexes that clients have created at a path; none of the engine's own."""

_NONE: frozenset[Trait] = frozenset()
_ANY = frozenset(Trait) - {Trait.PREFIX, Trait.PHRASE, Trait.TENANT}


def check_indexed(condition: Filter, traits_at: TraitsAt) -> None:
    """Refuse a filter with a condition that no index can answer.

    Raises:
        BadRequestError: names the field and the types of which one is needed.
    """
    for leaf, base in leaves(condition):
        if isinstance(leaf, HasId | HasVector | Slice):
            continue
        path = joined(base, leaf.path)
        traits = traits_at(path)
        for wanted in _demands(leaf):
            if wanted and not wanted & traits:
                types = ", ".join(sorted({trait.partition("/")[0] for trait in wanted}))
                raise BadRequestError(
                    f'Index required but not found for "{path}" of one of the following types: [{types}]. '
                    "Help: Create an index for this key or use a different filter."
                )


def traits_of(fields: FieldIndexes) -> TraitsAt:
    """Return the lookup of what the ready indexes of clients are able to."""

    def traits_at(path: Path) -> frozenset[Trait]:
        index = fields.of_client(str(path))
        return _NONE if index is None or index.schema is None or not index.ready else _traits(index.schema)

    return traits_at


def _traits(schema: FieldSchema) -> frozenset[Trait]:
    params = schema.effective
    traits = {Trait.TENANT} if params.is_tenant else set()
    match schema.type:
        case FieldType.KEYWORD:
            traits |= {Trait.KEYWORD, Trait.PREFIX} if params.prefix else {Trait.KEYWORD}
        case FieldType.INTEGER:
            traits |= {Trait.INTEGER_LOOKUP} if params.lookup is not False else set()
            traits |= {Trait.INTEGER_RANGE} if params.range is not False else set()
        case FieldType.FLOAT:
            traits.add(Trait.FLOAT)
        case FieldType.GEO:
            traits.add(Trait.GEO)
        case FieldType.TEXT:
            traits |= {Trait.TEXT, Trait.PHRASE} if params.phrase_matching else {Trait.TEXT}
        case FieldType.BOOL:
            traits.add(Trait.BOOL)
        case FieldType.DATETIME:
            traits.add(Trait.DATETIME)
        case FieldType.UUID:
            traits.add(Trait.UUID)
        case _:
            assert_never(schema.type)
    return frozenset(traits)


def _demands(leaf: PayloadCondition) -> list[frozenset[Trait]]:
    """Return for each check of a condition the traits of which an index needs one; none where no index is needed."""
    match leaf:
        case Field(_, checks):
            return [_demand(check) for check in checks]
        case ValuesCount() | IsEmpty() | IsNull():
            return [_ANY]
        case _:
            assert_never(leaf)


def _demand(check: Check) -> frozenset[Trait]:
    match check:
        case MatchKeyword(text):
            return _keywords((text,))
        case MatchAnyKeywords(texts) | MatchExceptKeywords(texts):
            return _keywords(tuple(texts))
        case MatchInteger():
            return frozenset({Trait.INTEGER_LOOKUP})
        case MatchAnyIntegers(numbers) | MatchExceptIntegers(numbers):
            return frozenset({Trait.INTEGER_LOOKUP}) if numbers else _NONE
        case MatchBoolean():
            return frozenset({Trait.BOOL})
        case MatchText() | MatchTextAny():
            return frozenset({Trait.TEXT})
        case MatchPhrase():
            return frozenset({Trait.PHRASE})
        case MatchPrefix() | MatchSubstring():
            return frozenset({Trait.PREFIX})
        case Range():
            return frozenset({Trait.FLOAT, Trait.INTEGER_RANGE})
        case DatetimeRange():
            return frozenset({Trait.DATETIME})
        case GeoBoundingBox() | GeoRadius() | GeoPolygon():
            return frozenset({Trait.GEO})
        case _:
            assert_never(check)


def _keywords(texts: tuple[str, ...]) -> frozenset[Trait]:
    if not texts:
        return _NONE
    if all(parse_uuid(text) is not None for text in texts):
        return frozenset({Trait.KEYWORD, Trait.UUID})
    return frozenset({Trait.KEYWORD})
