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
    """Generates calls that are valid on the points there are.

    Attributes:
        present: ids of the points there are; kept by the caller, since conditional writes decide what there is.

    """

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
                self._counted,
                self._ordered,
                self._search,
            ]
        )()

    def _some(self) -> list[Id]:
        present = sorted(self.present, key=str)
        return self.rng.sample(present, min(len(present), self.rng.randint(1, 5)))

    def _selector(self, ids: list[Id]) -> list[Id] | models.Filter:
        draw = self.rng.random()
        if draw < 0.6:
            return ids
        return only(ids) if draw < 0.8 else models.Filter(must=[only(ids), self._filter()])

    def _filter(self) -> models.Filter:
        """Return a filter about payloads, ids and vectors that lets some points through."""
        ids = self.rng.sample(self.ids, 15)
        conditions: list[Any] = [
            models.FieldCondition(key="flag", match=models.MatchValue(value=self.rng.random() < 0.5)),
            models.FieldCondition(key="number", range=models.Range(gte=0)),
            models.FieldCondition(key="float", range=models.Range(lt=self.rng.random())),
            models.FieldCondition(key="text", match=models.MatchValue(value="plain")),
            models.FieldCondition(key="text", match=models.MatchExcept(**{"except": ["plain", ""]})),
            models.FieldCondition(key="text", match=models.MatchText(text="quote")),
            models.FieldCondition(key="nested.a.b", match=models.MatchAny(any=self.rng.sample(range(10), 4))),
            models.FieldCondition(key="list", values_count=models.ValuesCount(gte=1)),
            models.NestedCondition(nested=models.Nested(key="nested.a.c", filter=_having_d(self.rng.randint(1, 3)))),
            models.IsEmptyCondition(is_empty=models.PayloadField(key=self.rng.choice(["list", "empty", "nothing"]))),
            models.IsNullCondition(is_null=models.PayloadField(key="nothing")),
            models.HasVectorCondition(has_vector=self.rng.choice(NAMES)),
            models.HasIdCondition(has_id=ids),
        ]
        chosen = self.rng.sample(conditions, 3)
        match self.rng.randrange(5):
            case 0:
                return models.Filter(should=chosen)
            case 1:
                return models.Filter(must=chosen[:1], must_not=chosen[1:2])
            case 2:
                return models.Filter(min_should=models.MinShould(conditions=chosen, min_count=2))
            case _:
                return models.Filter(must=chosen[:1])

    def _perhaps(self) -> models.Filter | None:
        ids = self.rng.sample(self.ids, 10)
        return self.rng.choice([None, only(ids), without(ids), self._filter(), self._filter()])

    def _conditional(self) -> dict[str, Any]:
        """Return the arguments of an upsert that writes only some of its points."""
        if self.rng.random() < 0.5:
            return {}
        mode = self.rng.choice([None, *models.UpdateMode])
        return {"update_filter": self._perhaps(), "update_mode": mode}

    def _upsert(self) -> Call:
        chosen = self.rng.sample(self.ids, self.rng.randint(1, 8))
        points: list[models.PointStruct] = [random_point(self.rng, point_id) for point_id in chosen]
        conditional = self._conditional()
        if self.rng.random() < 0.5:
            return lambda c: c.upsert(self.name, points, **conditional)
        columns = self._columns(chosen)
        return lambda c: c.upsert(self.name, columns, **conditional)

    def _columns(self, chosen: list[Id]) -> models.Batch:
        """Return points as columns: every point has every vector of them."""
        rows: Any = {
            EUCLID: [random_row(self.rng, 8) for _ in chosen],
            "dot": [random_row(self.rng, 5) for _ in chosen],
        }
        return models.Batch(ids=chosen, vectors=rows, payloads=[random_payload(self.rng) for _ in chosen])

    def _delete(self) -> Call:
        selector = self._selector([*self._some(), self.rng.choice(self.ids)])
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
        condition = self.rng.choice([None, self._filter()])
        return lambda c: c.update_vectors(self.name, rows, update_filter=condition)

    def _batch(self) -> Call:
        payload = random_payload(self.rng) or {"some": "thing"}
        ids = self._some()

        def where() -> dict[str, Any]:
            chosen = self._selector(ids)
            return {"points": chosen} if isinstance(chosen, list) else {"filter": chosen}

        def selector() -> Any:
            chosen = self._selector(ids)
            return (
                models.PointIdsList(points=chosen) if isinstance(chosen, list) else models.FilterSelector(filter=chosen)
            )

        points = [random_point(self.rng, point_id) for point_id in self.rng.sample(self.ids, 3)]
        columns = self._columns(self.rng.sample(self.ids, 2))
        rows = [models.PointVectors(id=ids[0], vector=random_vectors(self.rng))]
        condition = self.rng.choice([None, self._filter()])
        operations: list[Any] = [
            models.UpsertOperation(upsert=models.PointsList(points=points, **self._conditional())),
            models.UpsertOperation(upsert=models.PointsBatch(batch=columns, **self._conditional())),
            models.SetPayloadOperation(set_payload=models.SetPayload(payload=payload, **where())),
            models.SetPayloadOperation(set_payload=models.SetPayload(payload=payload, points=ids, key="deep")),
            models.OverwritePayloadOperation(overwrite_payload=models.SetPayload(payload=payload, **where())),
            models.DeletePayloadOperation(delete_payload=models.DeletePayload(keys=["text"], **where())),
            models.ClearPayloadOperation(clear_payload=selector()),
            models.UpdateVectorsOperation(update_vectors=models.UpdateVectors(points=rows, update_filter=condition)),
            models.DeleteVectorsOperation(delete_vectors=models.DeleteVectors(vector=[EUCLID, "sparse"], **where())),
        ]
        self.rng.shuffle(operations)
        # Deletions come last: what is before them finds its points.
        operations.append(models.DeleteOperation(delete=selector()))
        operations.append(models.DeleteOperation(delete=models.PointIdsList(points=self.rng.sample(self.ids, 2))))
        return lambda c: c.batch_update_points(self.name, operations)

    def _counted(self) -> Call:
        condition = self._perhaps()
        if self.rng.random() < 0.5:
            return lambda c: c.count(self.name, condition)
        key = self.rng.choice(["text", "flag", "nested.a.b"])
        return lambda c: c.facet(self.name, key, condition, 100, exact=True)

    def _ordered(self) -> Call:
        """Scroll in the order of a field; equal values come in any order, also across a limit."""
        key = self.rng.choice(["number", "float"])
        direction = self.rng.choice(list(models.Direction))
        start = self.rng.choice([None, 0, 0.5] if key == "float" else [None, 0])
        order = models.OrderBy(key=key, direction=direction, start_from=start)
        condition = self._perhaps()

        def scroll(client: QdrantClient) -> object:
            some, _ = client.scroll(self.name, condition, 3, order_by=order)
            everything, following = client.scroll(self.name, condition, 100, order_by=order)
            by_id = sorted(everything, key=lambda record: str(record.id))
            return [record.order_value for record in (*some, *everything)], by_id, following

        return scroll

    def _read(self) -> Call:
        ids = self.rng.sample(self.ids, 10)
        flags: Any = self.rng.choice(
            [True, False, ["number", "nested.a"], models.PayloadSelectorExclude(exclude=["list"])]
        )
        vectors: Any = self.rng.choice([True, False, [EUCLID, "sparse"], ["multi"]])
        match self.rng.randrange(2):
            case 0:
                return lambda c: c.retrieve(self.name, ids, with_payload=flags, with_vectors=vectors)
            case _:
                limit, offset = self.rng.randint(1, 15), self.rng.choice([None, *self.ids])
                condition = self._perhaps()
                return lambda c: c.scroll(
                    self.name, condition, limit, offset=offset, with_payload=flags, with_vectors=vectors
                )

    def _search(self) -> Call:
        using = self.rng.choice(list(DENSE))
        size = DENSE[using][0]
        rows = [random_row(self.rng, size) for _ in range(3)]
        limit, offset = self.rng.randint(1, 20), self.rng.choice([0, 0, 2, 100])
        threshold = self.rng.choice([None, self.rng.uniform(-1, 3)])
        flags: Any = self.rng.choice([True, False, ["text"]])
        exact = models.SearchParams(exact=self.rng.random() < 0.5, hnsw_ef=64)
        condition = self._perhaps()
        if self.rng.random() < 0.4:
            requests = [
                models.QueryRequest(query=row, using=using, limit=limit, offset=offset, params=exact, filter=condition)
                for row in rows
            ]
            return lambda c: [response.points for response in c.query_batch_points(self.name, requests)]
        return lambda c: c.query_points(
            self.name,
            rows[0],
            using=using,
            limit=limit,
            offset=offset,
            score_threshold=threshold,
            query_filter=condition,
            with_payload=flags,
            with_vectors=[using],
            search_params=exact,
        )


def _having_d(number: int) -> models.Filter:
    return models.Filter(must=[models.FieldCondition(key="d", match=models.MatchValue(value=number))])


INDEXES = {
    "text": models.PayloadSchemaType.KEYWORD,
    "flag": models.PayloadSchemaType.BOOL,
    "nested.a.b": models.PayloadSchemaType.INTEGER,
    "number": models.PayloadSchemaType.INTEGER,
    "float": models.PayloadSchemaType.FLOAT,
}
"""What the server wants for facets and orders; the local mode has no indexes."""


def run(remote: QdrantClient, local: QdrantClient, name: str, seed: int, steps: int) -> None:
    """Run a program on a collection of its own, and compare every answer, now and then everything."""
    program = Program(random.Random(seed), name)
    for client in (remote, local):
        create_mixed(client, name)
    for field, kind in INDEXES.items():
        remote.create_payload_index(name, field, kind, wait=True)
    for step in range(steps):
        program.present = {record.id for record in local.scroll(name, limit=1000, with_payload=False)[0]}
        assert_same(remote, local, program.call())
        if step % 40 == 39 or step == steps - 1:
            assert_equal_state(remote, local, name, program.rng, program.ids)
    for client in (remote, local):
        client.delete_collection(name)
