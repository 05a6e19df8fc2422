"""Filters evaluated to sets of slots.

A set has the window of the live set, and is always a subset of the live points, so that negation is exact. Conditions
on payloads are answered by field indexes; what no index answers is evaluated on the payloads of the points that are
still in question.
"""

from __future__ import annotations

from functools import reduce
from operator import and_, or_
from typing import assert_never

import numpy as np

from pointstore.core import interruption
from pointstore.core.filter import (
    Condition,
    Field,
    Filter,
    HasId,
    HasVector,
    IsEmpty,
    IsNull,
    MatchPhrase,
    MatchText,
    MatchTextAny,
    MinShould,
    Nested,
    PayloadCondition,
    PointCondition,
    Slice,
    ValuesCount,
    elements_of,
    member_names,
)
from pointstore.core.path import Path, parse_path
from pointstore.core.payload import unpack_members
from pointstore.core.truth import never, predicate
from pointstore.engine.field_choice import nested_base
from pointstore.engine.field_lookup import FieldLookup
from pointstore.engine.full_text import text_lookup
from pointstore.engine.view import View
from pointstore.index import slots as slot_sets
from pointstore.index.slots import SlotSet
from pointstore.storage.points import check_places, of_slot_keys

_PAYLOADS_A_CHECK = 32


def matching_slots(view: View, condition: Filter) -> SlotSet:
    """Return the live slots that match."""
    return Evaluation(view).filter(condition)


class Evaluation:
    """Evaluates conditions on one view."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._live = view.generation.live
        self._lookup = FieldLookup(view)

    def filter(self, condition: Filter) -> SlotSet:
        """Return the live slots that match a filter."""
        sets: list[SlotSet] = [self._condition(part) for part in condition.must]
        if condition.should:
            sets.append(reduce(or_, [self._condition(part) for part in condition.should]))
        if condition.min_should is not None:
            sets.append(self._at_least(condition.min_should))
        matching = reduce(and_, sets, self._live)
        for part in condition.must_not:
            matching = matching - self._condition(part)
        return matching

    def _condition(self, condition: Condition) -> SlotSet:
        if isinstance(condition, Filter):
            return self.filter(condition)
        if isinstance(condition, HasId):
            return self._live & self._leaf(condition)
        interruption.check()
        cache = self._view.generation.cache
        known = cache.known(condition)
        if known is None:
            known = self._live & self._leaf(condition)
            cache.remember(condition, known)
        return known

    def _leaf(self, condition: PointCondition | Field | ValuesCount | IsEmpty | IsNull | Nested) -> SlotSet:
        match condition:
            case HasId(ids):
                found = [slot for slot in self._view.slots_of(ids) if slot is not None]
                return slot_sets.set_of(np.array(found, np.uint64), self._live)
            case HasVector(name):
                return self._having(name)
            case Slice():
                points = interruption.checked(self._view.store.points.scan(self._view.txn, None))
                places = [place for place in points if condition.contains(place[0])]
                check_places(places)
                return slot_sets.set_of(of_slot_keys(slot for _, slot in places), self._live)
            case Nested():
                return self.checked(condition, self._live)
            case Field() | ValuesCount() | IsEmpty() | IsNull():
                return self._payload(condition)
            case _:
                assert_never(condition)

    def _payload(self, condition: Field | ValuesCount | IsEmpty | IsNull) -> SlotSet:
        if isinstance(condition, Field) and len(condition.checks) > 1:
            # Each check by itself: an index that answers one of them may see values otherwise than the payload.
            alone = [self._condition(Field(condition.path, (check,))) for check in condition.checks]
            return reduce(or_, alone)
        base = nested_base(str(condition.path), self._view.generation.fields)
        if base is not None and not isinstance(condition, ValuesCount):
            rewritten = _per_element(condition, parse_path(base))
            if rewritten is not None:
                return self.checked(rewritten, self._live)
        answer = self._lookup.answer(condition)
        if answer is None:
            return self.checked(condition, self._live)
        found, uncertain = answer
        return found if uncertain is None else found | self.checked(condition, self._live & uncertain)

    def checked(self, condition: PayloadCondition | Nested, candidates: SlotSet) -> SlotSet:
        """Return those of the candidates whose payload fulfils a condition."""
        holds = predicate(condition, text_lookup(self._view.generation.fields))
        names = member_names(condition)
        kept = []
        for slot in interruption.checked(slot_sets.to_slots(candidates).tolist(), _PAYLOADS_A_CHECK):
            record = self._view.record(slot)
            # Conditions on the point itself are never asked here: inside Nested they are false.
            if holds(unpack_members(record.payload, names), never):
                kept.append(slot)
        return slot_sets.set_of(np.array(kept, np.uint64), self._live)

    def _having(self, name: str) -> SlotSet:
        generation = self._view.generation
        if name not in generation.dense and name not in generation.others:
            return slot_sets.none_of(self._live)
        return generation.live_of(name)

    def _at_least(self, clause: MinShould) -> SlotSet:
        counts = np.zeros(self._live.bits.size << 3, np.uint32)
        for part in clause.conditions:
            counts += np.unpackbits(self._condition(part).bits, bitorder="little")
        # The complement of nothing is everything: without conditions, counts stay below any min_count >= 1.
        return self._live & SlotSet(self._live.first, np.packbits(counts >= clause.min_count, bitorder="little"))


def _per_element(condition: Field | IsEmpty | IsNull, base: Path) -> Nested | None:
    """Return a condition as the index option `nested` means it: of one element of an array (10.1).

    None where that changes nothing: only full text, emptiness and nulls are about more than one value.
    """
    array = elements_of(base)
    rest = Path(condition.path.steps[len(array.steps) :])
    match condition:
        case Field(_, checks):
            if not any(isinstance(check, MatchText | MatchTextAny | MatchPhrase) for check in checks):
                return None
            return Nested(array, Filter(must=(Field(rest, checks),)))
        case IsEmpty(_, wanted):
            return Nested(array, Filter(must=(IsEmpty(rest, wanted),)))
        case IsNull(_, wanted):
            return Nested(array, Filter(must=(IsNull(rest, wanted),)))
        case _:
            assert_never(condition)
