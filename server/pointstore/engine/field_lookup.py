"""Conditions on payloads answered from field indexes (specification part 2, 5 and 7).

An answer is the set of slots that match, and sometimes a second set of those for which the index cannot tell: they are
decided on their payloads. Slots of dead points may be in both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import and_, or_
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from pointstore.core import geo
from pointstore.core.checks import words
from pointstore.core.field_block import Flag
from pointstore.core.fields import FieldIndex, FieldType, RawKind
from pointstore.core.filter import (
    Check,
    DatetimeRange,
    Field,
    GeoBoundingBox,
    GeoPolygon,
    GeoRadius,
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
    Range,
    TextCheck,
    ValuesCount,
)
from pointstore.core.point import parse_uuid
from pointstore.engine.field_choice import client_index, presence_index, raw_kind
from pointstore.engine.view import View
from pointstore.index import slots as slot_sets
from pointstore.index.field import FieldChunk, FieldEntries, SlotArray
from pointstore.index.slots import SlotSet
from pointstore.text.analyzer import analyzer_of

Answer = tuple[SlotSet, SlotSet | None]
"""Slots that match; slots to be decided on payloads, None for none."""

_MICRO = 1000
_EXACT_DOUBLE = 2.0**53
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1

# Places of columns, see `engine/indexing.py`.
_FIRST = 0
_STRINGS, _INTEGERS, _DOUBLES = 0, 1, 2
_NOT_STRING = Flag.INTEGER | Flag.DOUBLE | Flag.TRUE | Flag.FALSE | Flag.OTHER
_NOT_INTEGER = Flag.STRING | Flag.DOUBLE | Flag.TRUE | Flag.FALSE | Flag.OTHER


class FieldLookup:
    """Answers conditions from the indexes of one view."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._fields = view.generation.fields
        self._live = view.generation.live

    def answer(self, condition: Field | ValuesCount | IsEmpty | IsNull) -> Answer | None:
        """Return the answer of the indexes; None when there is none that could tell."""
        path = str(condition.path)
        match condition:
            case Field(_, checks):
                return self._any([self._check(path, check) for check in checks])
            case ValuesCount():
                return self._counted(path, condition)
            case IsEmpty(_, wanted):
                nonempty = self._flagged(path, Flag.NONEMPTY)
                return None if nonempty is None else (~nonempty if wanted else nonempty, None)
            case IsNull(_, wanted):
                null = self._flagged(path, Flag.NULL)
                return None if null is None else (null if wanted else ~null, None)
            case _:
                assert_never(condition)

    def entries(self, index: FieldIndex) -> FieldEntries:
        """Return the entries of an index as of the view."""
        generation = self._view.generation
        return generation.cache.entries(self._view.store, self._view.txn, index.number, generation.live)

    def points(self, index: FieldIndex) -> int:
        """Count the live points that hold at least one value of an index."""
        if not index.ready:
            return 0

        def counted() -> int:
            holding = self.entries(index).matching(self._live, lambda chunk: [chunk.column(_FIRST)[1]])
            return slot_sets.popcount(self._live & holding)

        return self._view.generation.cache.count(index.number, counted)

    def _any(self, answers: Sequence[Answer | None]) -> Answer | None:
        found: SlotSet = slot_sets.none_of(self._live)
        uncertain: SlotSet | None = None
        for answer in answers:
            if answer is None:
                return None
            found = found | answer[0]
            if answer[1] is not None:
                uncertain = answer[1] if uncertain is None else uncertain | answer[1]
        return found, uncertain

    def _flagged(self, path: str, flag: Flag) -> SlotSet | None:
        index = presence_index(path, self._fields)
        if index is None:
            return None
        return self.entries(index).matching(self._live, lambda chunk: [chunk.flagged(flag)])

    def _raw(self, path: str, kind: RawKind) -> FieldIndex | None:
        index = self._fields.of_engine(path, kind)
        return index if index is not None and index.ready else None

    def _counted(self, path: str, bounds: ValuesCount) -> Answer | None:
        index = self._raw(path, RawKind.COUNTS)
        if index is None:
            return None
        entries = self.entries(index)
        low, high = _integer_bounds(bounds.gt, bounds.gte, bounds.lt, bounds.lte)
        found = self._between(entries, _FIRST, low, high)
        if low <= 0 <= high:
            # Where nothing is reached, the count is 0.
            found = found | ~entries.matching(self._live, lambda chunk: [chunk.column(_FIRST)[1]])
        return found, None

    def _check(self, path: str, check: Check) -> Answer | None:
        index = client_index(check, path, self._fields)
        own = index is None
        if index is None:
            index = self._raw(path, raw_kind(check))
        if index is None:
            return None
        entries = self.entries(index)
        match check:
            case MatchKeyword() | MatchAnyKeywords() | MatchExceptKeywords() | MatchPrefix() | MatchSubstring():
                return self._string(index, entries, check), None
            case MatchInteger() | MatchAnyIntegers() | MatchExceptIntegers():
                return self._integer(entries, check, own=own), None
            case MatchBoolean(flag):
                return self._boolean(entries, flag=flag, own=own), None
            case Range():
                return self._range(index, entries, check), None
            case DatetimeRange():
                return self._nanos(entries, check) if own else (self._micros(entries, check), None)
            case GeoBoundingBox() | GeoRadius() | GeoPolygon():
                return self._geo(entries, check), None
            case MatchText() | MatchTextAny() | MatchPhrase():
                return self._words(index, entries, check) if own else self._text(index, entries, check)
            case _:
                assert_never(check)

    def _string(
        self,
        index: FieldIndex,
        entries: FieldEntries,
        check: MatchKeyword | MatchAnyKeywords | MatchExceptKeywords | MatchPrefix | MatchSubstring,
    ) -> SlotSet:
        match check:
            case MatchKeyword(text):
                return self._with_codes(entries, self._codes(index, [text]))
            case MatchAnyKeywords(texts):
                return self._with_codes(entries, self._codes(index, texts))
            case MatchExceptKeywords(texts):
                others = _NOT_STRING if index.raw else Flag(0)
                return self._without(entries, _STRINGS, self._codes(index, texts), others)
            case MatchPrefix(text):
                wanted = text.encode()
                return self._with_codes(entries, self._codes_where(index, lambda term: term.startswith(wanted)))
            case MatchSubstring(text):
                part = text.encode()
                return self._with_codes(entries, self._codes_where(index, lambda term: part in term))
            case _:
                assert_never(check)

    def _codes(self, index: FieldIndex, texts: Iterable[str]) -> list[int]:
        """Return the codes of those texts that some payload ever held."""
        uuids = index.schema is not None and index.schema.type is FieldType.UUID
        terms = (parse_uuid(text) if uuids else text.encode() for text in texts)
        store, txn = self._view.store, self._view.txn
        codes = (store.fields.code(txn, index.number, term) for term in terms if term is not None)
        return [code for code in codes if code is not None]

    def _codes_where(self, index: FieldIndex, wanted: Callable[[bytes], bool]) -> list[int]:
        return [code for code, term in self._view.store.fields.terms(self._view.txn, index.number) if wanted(term)]

    def _with_codes(self, entries: FieldEntries, codes: Sequence[int]) -> SlotSet:
        return entries.matching(self._live, lambda chunk: (chunk.equal(_STRINGS, code) for code in codes))

    def _without(self, entries: FieldEntries, place: int, values: Sequence[int], others: Flag) -> SlotSet:
        """Return the slots with an entry besides `values`, or with one of the flags."""
        excluded = np.unique(np.array(values, np.int64))

        def pick(chunk: FieldChunk) -> Iterable[SlotArray]:
            present, slots = chunk.column(place)
            yield slots[~np.isin(present.astype(np.int64), excluded)] if excluded.size else slots
            if others:
                yield chunk.flagged(others)

        return entries.matching(self._live, pick)

    def _integer(
        self, entries: FieldEntries, check: MatchInteger | MatchAnyIntegers | MatchExceptIntegers, *, own: bool
    ) -> SlotSet:
        place = _INTEGERS if own else _FIRST
        match check:
            case MatchInteger(number):
                return entries.matching(self._live, lambda chunk: [chunk.equal(place, number)])
            case MatchAnyIntegers(numbers):
                return entries.matching(self._live, lambda chunk: (chunk.equal(place, number) for number in numbers))
            case MatchExceptIntegers(numbers):
                return self._without(entries, place, list(numbers), _NOT_INTEGER if own else Flag(0))
            case _:
                assert_never(check)

    def _boolean(self, entries: FieldEntries, *, flag: bool, own: bool) -> SlotSet:
        if own:
            return entries.matching(self._live, lambda chunk: [chunk.flagged(Flag.TRUE if flag else Flag.FALSE)])
        return entries.matching(self._live, lambda chunk: [chunk.equal(_FIRST, int(flag))])

    def _range(self, index: FieldIndex, entries: FieldEntries, bounds: Range) -> SlotSet:
        if any(bound is not None and math.isnan(bound) for bound in (bounds.gt, bounds.gte, bounds.lt, bounds.lte)):
            return slot_sets.none_of(self._live)
        if index.raw is None and index.schema is not None and index.schema.type is FieldType.INTEGER:
            low, high = _integer_bounds(_floor(bounds.gt), _ceil(bounds.gte), _ceil(bounds.lt), _floor(bounds.lte))
            return self._between(entries, _FIRST, low, high)
        places = (_INTEGERS, _DOUBLES) if index.raw else (_FIRST,)
        return entries.matching(self._live, lambda chunk: (_within(chunk, place, bounds) for place in places))

    def _micros(self, entries: FieldEntries, bounds: DatetimeRange) -> SlotSet:
        """Compare in microseconds; digits beyond are cut off on both sides."""
        cut = [None if bound is None else bound // _MICRO for bound in (bounds.gt, bounds.gte, bounds.lt, bounds.lte)]
        return self._between(entries, _FIRST, *_integer_bounds(*cut))

    def _nanos(self, entries: FieldEntries, bounds: DatetimeRange) -> Answer:
        """Compare in nanoseconds; instants that do not fit into the index stand at its ends, and are uncertain."""
        low, high = _integer_bounds(bounds.gt, bounds.gte, bounds.lt, bounds.lte)
        within = self._between(entries, _FIRST, max(low, _INT64_MIN + 1), min(high, _INT64_MAX - 1))
        ends = self._between(entries, _FIRST, _INT64_MIN, _INT64_MIN)
        ends = ends | self._between(entries, _FIRST, _INT64_MAX, _INT64_MAX)
        return within, ends if ends.any() else None

    def _between(self, entries: FieldEntries, place: int, low: int, high: int) -> SlotSet:
        """Return the slots with an int64 entry in [low, high]."""

        def pick(chunk: FieldChunk) -> Iterable[SlotArray]:
            values, _ = chunk.sorted(place)
            start = np.searchsorted(values, np.int64(max(low, _INT64_MIN)), "left")
            stop = np.searchsorted(values, np.int64(min(high, _INT64_MAX)), "right")
            yield chunk.between(place, int(start), int(stop))

        if low > high or low > _INT64_MAX or high < _INT64_MIN:
            return slot_sets.none_of(self._live)
        return entries.matching(self._live, pick)

    def _geo(self, entries: FieldEntries, check: GeoBoundingBox | GeoRadius | GeoPolygon) -> SlotSet:
        inside = geo.tester(check)

        def pick(chunk: FieldChunk) -> Iterable[SlotArray]:
            points, slots = chunk.column(_FIRST)
            if len(slots):
                pairs: NDArray[np.float64] = points.astype(np.float64, copy=False)
                yield slots[np.asarray(inside(pairs[:, 0], pairs[:, 1]))]

        return entries.matching(self._live, pick)

    def _tokens(self, index: FieldIndex, entries: FieldEntries, tokens: Sequence[str]) -> list[SlotSet]:
        """Return, for each distinct token, the slots that hold it."""
        sets: list[SlotSet] = []
        for token in dict.fromkeys(tokens):
            code = self._view.store.fields.code(self._view.txn, index.number, token.encode())
            sets.append(self._with_codes(entries, [] if code is None else [code]))
        return sets

    def _words(self, index: FieldIndex, entries: FieldEntries, check: TextCheck) -> Answer:
        """Answer for a field without a text index: every string is judged on its own (8.1)."""
        sets = self._tokens(index, entries, words(check.query))
        if not sets:
            return slot_sets.none_of(self._live), None
        if isinstance(check, MatchTextAny):
            return reduce(or_, sets), None
        together = reduce(and_, sets)
        if isinstance(check, MatchPhrase):
            return slot_sets.none_of(self._live), together
        several = entries.matching(self._live, lambda chunk: [chunk.flagged(Flag.OTHER)])
        return together - several, together & several

    def _text(self, index: FieldIndex, entries: FieldEntries, check: TextCheck) -> Answer:
        """Answer from a text index, whose tokens are those of all strings of a field (8.2)."""
        assert index.schema is not None
        params = index.schema.effective
        analyzer = analyzer_of(params)
        phrase = isinstance(check, MatchPhrase)
        nothing = slot_sets.none_of(self._live)
        if phrase and not params.phrase_matching:
            return nothing, None
        sets = self._tokens(index, entries, analyzer.phrase(check.query) if phrase else analyzer.query(check.query))
        if not sets:
            return nothing, None
        if isinstance(check, MatchTextAny):
            return reduce(or_, sets), None
        together = reduce(and_, sets)
        return (nothing, together) if phrase else (together, None)


def _within(chunk: FieldChunk, place: int, bounds: Range) -> SlotArray:
    """Return the slots of numbers within bounds, compared as doubles."""
    values, _ = chunk.sorted(place)
    given = [bound for bound in (bounds.gt, bounds.gte, bounds.lt, bounds.lte) if bound is not None]
    if values.dtype.kind == "i" and all(abs(bound) < _EXACT_DOUBLE for bound in given):
        # Integers that a double rounds lie all on one side of such bounds.
        low, high = _integer_bounds(_floor(bounds.gt), _ceil(bounds.gte), _ceil(bounds.lt), _floor(bounds.lte))
        first = int(np.searchsorted(values, np.int64(low), "left"))
        return chunk.between(place, first, max(first, int(np.searchsorted(values, np.int64(high), "right"))))
    numbers = values.astype(np.float64, copy=False)
    start, stop = 0, len(numbers)
    if bounds.gt is not None:
        start = max(start, int(np.searchsorted(numbers, bounds.gt, "right")))
    if bounds.gte is not None:
        start = max(start, int(np.searchsorted(numbers, bounds.gte, "left")))
    if bounds.lt is not None:
        stop = min(stop, int(np.searchsorted(numbers, bounds.lt, "left")))
    if bounds.lte is not None:
        stop = min(stop, int(np.searchsorted(numbers, bounds.lte, "right")))
    return chunk.between(place, start, max(start, stop))


def _integer_bounds(gt: int | None, gte: int | None, lt: int | None, lte: int | None) -> tuple[int, int]:
    """Return the closed interval of the integers within bounds, clipped to what an index can hold."""
    lows = [_INT64_MIN] + [bound for bound in (None if gt is None else gt + 1, gte) if bound is not None]
    highs = [_INT64_MAX] + [bound for bound in (None if lt is None else lt - 1, lte) if bound is not None]
    low, high = max(lows), min(highs)
    return low, high


def _floor(bound: float | None) -> int | None:
    if bound is None or math.isfinite(bound):
        return None if bound is None else math.floor(bound)
    return _INT64_MAX + 1 if bound > 0 else _INT64_MIN - 1


def _ceil(bound: float | None) -> int | None:
    if bound is None or math.isfinite(bound):
        return None if bound is None else math.ceil(bound)
    return _INT64_MAX + 1 if bound > 0 else _INT64_MIN - 1
