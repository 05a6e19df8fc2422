"""Random programs of the official client, for the server and the client's local mode.

Calls on which the two differ by design are not generated; they are in docs/differences.md.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from qdrant_client import QdrantClient, models

from tests.compat.comparing import (
    DENSE,
    EUCLID,
    NAMES,
    assert_equal_state,
    assert_same,
    create_mixed,
    only,
    point_ids,
    random_payload,
    random_point,
    random_row,
    random_vectors,
    without,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[[QdrantClient], object]
    Id = Any


class Program:
    """Generates calls that are valid on the points there are."""

    def __init__(self, rng: random.Random, name: str) -> None:
        self.rng = rng
        self.name = name
        self.ids = point_ids(rng)
        self.present: set[Id] = set()

    def call(self) -> Call:
        """Return the next call, a write or a read."""
        if not self.present or self.rng.random() < 0.2:
            return self._upsert()
        return self.rng.choice(
            [
                self._delete,
                self._payload,
                self._payload,
                self._vectors,
                self._batch,
                self._read,
                self._read,
                self._search,
            ]
        )()

    def _some(self) -> list[Id]:
        present = sorted(self.present, key=str)
        return self.rng.sample(present, min(len(present), self.rng.randint(1, 5)))

    def _selector(self, ids: list[Id]) -> list[Id] | models.Filter:
        return ids if self.rng.random() < 0.6 else only(ids)

    def _upsert(self) -> Call:
        chosen = self.rng.sample(self.ids, self.rng.randint(1, 8))
        points = [random_point(self.rng, point_id) for point_id in chosen]
        self.present |= set(chosen)
        if self.rng.random() < 0.5:
            return lambda c: c.upsert(self.name, points)
        # The columns of a batch: every point has every vector of it.
        rows: Any = {
            EUCLID: [random_row(self.rng, 8) for _ in chosen],
            "dot": [random_row(self.rng, 5) for _ in chosen],
        }
        payloads = [random_payload(self.rng) for _ in chosen]
        return lambda c: c.upsert(self.name, models.Batch(ids=chosen, vectors=rows, payloads=payloads))

    def _delete(self) -> Call:
        ids = self._some()
        gone = [*ids, self.rng.choice(self.ids)]
        self.present -= set(gone)
        selector = self._selector(gone)
        return lambda c: c.delete(self.name, selector)

    def _payload(self) -> Call:
        selector = self._selector(self._some())
        payload = random_payload(self.rng) or {"some": "thing"}
        keys = self.rng.sample(["number", "nested.a.b", "nested.a.c[].d", "list", "text", "no.such"], 2)
        match self.rng.randrange(6):
            case 0:
                return lambda c: c.set_payload(self.name, payload, selector)
            case 1:
                key = self.rng.choice(["nested", "nested.a", "new.path", "other"])
                return lambda c: c.set_payload(self.name, payload, selector, key=key)
            case 2:
                return lambda c: c.overwrite_payload(self.name, payload, selector)
            case 3:
                return lambda c: c.clear_payload(self.name, selector)
            case _:
                return lambda c: c.delete_payload(self.name, keys, selector)

    def _vectors(self) -> Call:
        ids = self._some()
        if self.rng.random() < 0.5:
            names = self.rng.sample(NAMES, 2)
            selector = self._selector(ids)
            return lambda c: c.delete_vectors(self.name, names, selector)
        rows = [models.PointVectors(id=point_id, vector=random_vectors(self.rng, 0.5)) for point_id in ids]
        return lambda c: c.update_vectors(self.name, rows)

    def _batch(self) -> Call:
        payload = random_payload(self.rng) or {"some": "thing"}
        points = [random_point(self.rng, point_id) for point_id in self.rng.sample(self.ids, 3)]
        self.present |= {point.id for point in points}
        ids = self._some()
        operations: list[Any] = [
            models.UpsertOperation(upsert=models.PointsList(points=points)),
            models.SetPayloadOperation(set_payload=models.SetPayload(payload=payload, points=ids)),
            models.SetPayloadOperation(set_payload=models.SetPayload(payload=payload, points=ids, key="deep")),
            models.OverwritePayloadOperation(overwrite_payload=models.SetPayload(payload=payload, filter=only(ids))),
            models.DeletePayloadOperation(delete_payload=models.DeletePayload(keys=["text"], points=ids)),
            models.ClearPayloadOperation(clear_payload=models.PointIdsList(points=ids[:1])),
            models.UpdateVectorsOperation(
                update_vectors=models.UpdateVectors(
                    points=[models.PointVectors(id=ids[0], vector=random_vectors(self.rng))]
                )
            ),
            models.DeleteVectorsOperation(delete_vectors=models.DeleteVectors(points=ids, vector=[EUCLID, "sparse"])),
        ]
        self.rng.shuffle(operations)
        # Upserts come first, so that what follows finds its points.
        operations.sort(key=lambda operation: not isinstance(operation, models.UpsertOperation))
        gone = self.rng.sample(self.ids, 2)
        self.present -= set(gone)
        operations.append(models.DeleteOperation(delete=models.PointIdsList(points=gone)))
        return lambda c: c.batch_update_points(self.name, operations)

    def _read(self) -> Call:
        ids = self.rng.sample(self.ids, 10)
        flags: Any = self.rng.choice(
            [True, False, ["number", "nested.a"], models.PayloadSelectorExclude(exclude=["list"])]
        )
        vectors: Any = self.rng.choice([True, False, [EUCLID, "sparse"], ["multi"]])
        match self.rng.randrange(3):
            case 0:
                return lambda c: c.retrieve(self.name, ids, with_payload=flags, with_vectors=vectors)
            case 1:
                limit, offset = self.rng.randint(1, 15), self.rng.choice([None, *self.ids])
                condition = self.rng.choice([None, only(ids), without(ids)])
                return lambda c: c.scroll(
                    self.name, condition, limit, offset=offset, with_payload=flags, with_vectors=vectors
                )
            case _:
                condition = self.rng.choice([None, only(ids), without(ids)])
                return lambda c: c.count(self.name, condition)

    def _search(self) -> Call:
        using = self.rng.choice(list(DENSE))
        size = DENSE[using][0]
        rows = [random_row(self.rng, size) for _ in range(3)]
        limit, offset = self.rng.randint(1, 20), self.rng.choice([0, 0, 2, 100])
        threshold = self.rng.choice([None, self.rng.uniform(-1, 3)])
        flags: Any = self.rng.choice([True, False, ["text"]])
        exact = models.SearchParams(exact=self.rng.random() < 0.5, hnsw_ef=64)
        if self.rng.random() < 0.4:
            requests = [
                models.QueryRequest(query=row, using=using, limit=limit, offset=offset, params=exact) for row in rows
            ]
            return lambda c: [response.points for response in c.query_batch_points(self.name, requests)]
        return lambda c: c.query_points(
            self.name,
            rows[0],
            using=using,
            limit=limit,
            offset=offset,
            score_threshold=threshold,
            with_payload=flags,
            with_vectors=[using],
            search_params=exact,
        )


def run(remote: QdrantClient, local: QdrantClient, name: str, seed: int, steps: int) -> None:
    """Run a program on a collection of its own, and compare every answer, now and then everything."""
    program = Program(random.Random(seed), name)
    for client in (remote, local):
        create_mixed(client, name)
    for step in range(steps):
        assert_same(remote, local, program.call())
        if step % 40 == 39 or step == steps - 1:
            assert_equal_state(remote, local, name, program.rng, program.ids)
    for client in (remote, local):
        client.delete_collection(name)
