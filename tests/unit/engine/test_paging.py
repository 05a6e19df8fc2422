"""Pages in id order, with and without a filter, whichever way they are read."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pointstore.core.payload import pack_payload
from pointstore.core.query import PayloadSelector, Selectors
from pointstore.core.schema import CollectionConfig
from pointstore.core.update import DeletePoints
from pointstore.engine.paging import places_in_order, records_of
from pointstore.index import slots as slot_sets
from pointstore.storage.points import of_slot_keys
from tests.building import pid, pids, running_engine, upsert, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pointstore.core.point import PointId
    from pointstore.engine.collection import Collection

_POINTS = 400


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Collection]:
    with running_engine(tmp_path) as engine:
        engine.create_collection("c", CollectionConfig())
        made = engine.collection("c")
        numbers = list(range(_POINTS))
        random.Random(1).shuffle(numbers)
        write(made, upsert(*[(number, {}, {"n": number}) for number in numbers]))
        # Half of them get newer slots than the rest, and some are gone.
        write(made, upsert(*[(number, {}, {"n": number}) for number in range(0, _POINTS, 2)]))
        write(made, DeletePoints(pids(*range(0, _POINTS, 10))))
        yield made


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1, 0.03, 0.0])
@pytest.mark.parametrize("limit", [1, 7, 100, 1000])
def test_pages_hold_every_match_once_in_order(collection: Collection, share: float, limit: int) -> None:
    dice = random.Random(int(share * 100))
    with collection.view() as view:
        live = slot_sets.to_slots(view.generation.live)
        chosen = np.array([slot for slot in live.tolist() if dice.random() < share], np.uint64)
        matching = slot_sets.set_of(chosen, view.generation.live)
        expected = sorted(view.record(slot).point_id for slot in chosen.tolist())
        found: list[PointId] = []
        start: PointId | None = None
        while True:
            places, following = places_in_order(view, matching, start, limit)
            assert len(places) <= limit
            found += [point_id for point_id, _ in places]
            assert set(of_slot_keys([place for _, place in places]).tolist()) <= set(chosen.tolist())
            if following is None:
                break
            assert len(places) == limit
            start = following
        assert found == expected
        if share == 1.0:
            assert places_in_order(view, None, pid(11), limit) == places_in_order(view, matching, pid(11), limit)


def test_records_hold_what_was_selected(collection: Collection) -> None:
    with collection.view() as view:
        places, _ = places_in_order(view, None, pid(5), 2)
        whole = records_of(view, places, Selectors(payload=PayloadSelector(enable=True)))
        assert [(record.point_id, record.payload) for record in whole] == [
            (pid(5), pack_payload({"n": 5})),
            (pid(6), pack_payload({"n": 6})),
        ]
        none = records_of(view, places, Selectors(payload=PayloadSelector(enable=False)))
        assert [(record.point_id, record.payload, record.vectors) for record in none] == [
            (pid(5), b"", None),
            (pid(6), b"", None),
        ]
