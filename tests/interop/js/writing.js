// Writes of points and payloads.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

import * as forms from "./forms.js";
import { completed, create, id, payloadFrom, plainPayload, read, selected, total, unnamed, upsert } from "./forms.js";

// Numbers from 0 to the largest, and UUIDs in each spelling, which all name the same point.
export async function ids(walk) {
  await create(walk, 4);
  const vectors = unnamed(0.05, 0.61, 0.76, 0.74);
  for (const number of [0n, 1n, 2n ** 63n - 1n, 2n ** 64n - 1n]) {
    await upsert(walk, { id: id(number), vectors, payload: payloadFrom({ color: "Red" }) });
    const point = await read(walk, number);
    assert.equal(point.id.pointIdOptions.value, number);
    assert.deepEqual(plainPayload(point.payload), { color: "Red" });
    assert.deepEqual(forms.denseOf(point), forms.floats(0.05, 0.61, 0.76, 0.74));
  }
  assert.equal(await total(walk), 4n);
  const spellings = {
    "936DA01F9ABD4d9d80C702AF85C822A8": "936da01f-9abd-4d9d-80c7-02af85c822a8",
    "550e8400-e29b-41d4-a716-446655440000": "550e8400-e29b-41d4-a716-446655440000",
    "urn:uuid:F9168C5E-CEB2-4faa-B6BF-329BF39FA1E4": "f9168c5e-ceb2-4faa-b6bf-329bf39fa1e4",
    "5c56c793-69f3-4fbf-87e6-c4bf54c28c26": "5c56c793-69f3-4fbf-87e6-c4bf54c28c26",
  };
  for (const [written, want] of Object.entries(spellings)) {
    await upsert(walk, { id: id(written), vectors });
    for (const spelling of [written, want]) {
      assert.equal((await read(walk, spelling)).id.pointIdOptions.value, want);
    }
  }
  assert.equal(await total(walk), 8n);
  await upsert(walk, { id: id("936da01f-9abd-4d9d-80c7-02af85c822a8"), vectors });
  assert.equal(await total(walk), 8n, "another spelling is the same point");
}

// An upsert of several points, twice, and again with other content. The client has no form for columns.
export async function records(walk) {
  await create(walk, 3);
  const records = [
    ["red", [0.9, 0.1, 0.1]],
    ["green", [0.1, 0.9, 0.1]],
    ["blue", [0.1, 0.1, 0.9]],
  ];
  for (let times = 0; times < 2; times++) {
    await upsert(
      walk,
      ...records.map(([color, vector], number) => ({
        id: id(number + 1),
        vectors: unnamed(...vector),
        payload: payloadFrom({ color }),
      })),
    );
    assert.equal(await total(walk), 3n);
    for (const [number, [color, vector]] of records.entries()) {
      const point = await read(walk, number + 1);
      assert.deepEqual(plainPayload(point.payload), { color });
      assert.deepEqual(forms.denseOf(point), forms.floats(...vector));
    }
  }
  await upsert(walk, { id: id(1), vectors: unnamed(1, 2, 3) });
  const point = await read(walk, 1);
  assert.deepEqual(plainPayload(point.payload), {}, "the point is replaced whole");
  assert.deepEqual(forms.denseOf(point), [1, 2, 3]);
  assert.equal(await total(walk), 3n);
}

// Every kind of value, then set, overwrite, delete and clear.
export async function payload(walk) {
  const { points, collection: collectionName } = walk;
  await create(walk, 2);
  const current = async () => plainPayload((await read(walk, 1)).payload);
  const everything = {
    text: "äöü", whole: -(2n ** 63n), real: 0.5, yes: true, nothing: null,
    list: [1n, "two", []], nested: { deep: { n: 1n } },
  };
  await upsert(walk, { id: id(1), vectors: unnamed(1, 0), payload: payloadFrom(everything) });
  assert.deepEqual(await current(), everything);

  const one = { collectionName, wait: true, pointsSelector: selected(1) };
  completed(await points.overwritePayload({ ...one, payload: payloadFrom({ a: 1n, b: "x" }) }));
  assert.deepEqual(await current(), { a: 1n, b: "x" });
  completed(await points.setPayload({ ...one, payload: payloadFrom({ b: "y", c: { d: 1n } }) }));
  assert.deepEqual(await current(), { a: 1n, b: "y", c: { d: 1n } });
  completed(await points.setPayload({ ...one, key: "c", payload: payloadFrom({ e: 2n }) }));
  assert.deepEqual(await current(), { a: 1n, b: "y", c: { d: 1n, e: 2n } });
  const byFilter = { collectionName, wait: true, pointsSelector: forms.filtered(forms.match("b", "y")) };
  completed(await points.deletePayload({ ...byFilter, keys: ["a", "c.d"] }));
  assert.deepEqual(await current(), { b: "y", c: { e: 2n } });
  completed(await points.clearPayload({ collectionName, wait: true, points: selected(1) }));
  assert.deepEqual(await current(), {});
}

// By ids, missing ones among them, and by filter.
export async function deletedPoints(walk) {
  const { points, collection: collectionName } = walk;
  await forms.colors(walk);
  completed(await points.delete({ collectionName, wait: true, points: selected(0, 3, 100) }));
  assert.equal(await read(walk, 3), undefined);
  assert.equal(await total(walk), 5n);
  const red = forms.filtered(forms.match("color", "red"));
  completed(await points.delete({ collectionName, wait: true, points: red }));
  assert.equal(forms.idsOf((await points.scroll({ collectionName })).result), "2 5 6");
}

// All eight operations in order: the first, the first two, ... show the effect of each.
export async function batch(walk) {
  const { points, collection: collectionName } = walk;
  await create(walk, 4);
  const one = { pointsSelector: selected(1) };
  const operations = [
    ["upsert", { points: [{ id: id(1), vectors: unnamed(1, 2, 3, 4), payload: {} }] }],
    ["updateVectors", { points: [{ id: id(1), vectors: unnamed(4, 3, 2, 1) }] }],
    ["deleteVectors", { ...one, vectors: { names: [""] } }],
    ["overwritePayload", { ...one, payload: payloadFrom({ test_payload: 1n }) }],
    ["setPayload", { ...one, payload: payloadFrom({ test_payload_2: 2n, test_payload_3: 3n }) }],
    ["deletePayload", { ...one, keys: ["test_payload_2"] }],
    ["clearPayload", { points: selected(1) }],
    ["deletePoints", { points: selected(1) }],
  ].map(([name, content]) => ({ operation: { case: name, value: content } }));
  const effects = [
    [[1, 2, 3, 4], {}],
    [[4, 3, 2, 1], {}],
    [[], {}],
    [[], { test_payload: 1n }],
    [[], { test_payload: 1n, test_payload_2: 2n, test_payload_3: 3n }],
    [[], { test_payload: 1n, test_payload_3: 3n }],
    [[], {}],
  ];
  const update = async (some) => {
    const { result } = await points.updateBatch({ collectionName, wait: true, operations: some });
    assert.deepEqual(result.map(({ status }) => status), some.map(() => forms.COMPLETED));
  };
  for (const [number, [vector, content]] of effects.entries()) {
    await update(operations.slice(0, number + 1));
    const point = await read(walk, 1);
    assert.deepEqual(forms.denseOf(point), vector);
    assert.deepEqual(plainPayload(point.payload), content);
  }
  await update(operations);
  assert.equal(await total(walk), 0n);
}

// With `wait` the point is there when the reply is; without, soon after.
export async function wait(walk) {
  await create(walk, 2);
  const write = async (number, waiting) => {
    const struct = { id: id(number), vectors: unnamed(1, 0) };
    const request = { collectionName: walk.collection, points: [struct], ...waiting };
    return (await walk.points.upsert(request)).result;
  };
  const first = await write(1, { wait: true });
  assert.equal(first?.status, forms.COMPLETED);
  assert.equal(await total(walk), 1n);
  const second = await write(2, { wait: false });
  const third = await write(3, {});
  assert.equal(second.status, forms.ACKNOWLEDGED);
  assert.equal(third.status, forms.ACKNOWLEDGED);
  assert.ok(first.operationId < second.operationId && second.operationId < third.operationId);
  for (let tries = 0; (await total(walk)) < 3n; tries++) {
    assert.ok(tries < 3000, "acknowledged points did not appear");
    await sleep(10);
  }
}
