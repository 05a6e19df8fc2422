// Named, sparse and multi-vectors.

import assert from "node:assert/strict";

import { ConnectErrorCode } from "@qdrant/js-client-grpc";

import {
  completed, createNamed, dense, floats, id, multi, named, namedOf, namesOf, payloadFrom, plainPayload, read, selected,
  sparse, upsert,
} from "./forms.js";

export const IMAGE = [0.9, 0.1, 0.1, 0.2];
export const TEXT = [0.4, 0.7, 0.1, 0.8, 0.1, 0.1, 0.9, 0.2];

const denseData = (point, name) => namedOf(point)[name].vector.value.data;

// Both, one of them, none; an upsert replaces them all.
export async function namedVectors(walk) {
  await createNamed(walk);
  await upsert(walk, { id: id(1), vectors: named({ image: dense(...IMAGE), text: dense(...TEXT) }) });
  await upsert(walk, { id: id(2), vectors: named({ image: dense(0.2, 0.1, 0.3, 0.9) }) });
  await upsert(walk, { id: id(3), vectors: named({}) });
  const point = await read(walk, 1);
  assert.deepEqual(denseData(point, "image"), floats(...IMAGE));
  assert.deepEqual(denseData(point, "text"), floats(...TEXT));
  assert.deepEqual(namesOf(point), ["image", "text"]);
  assert.deepEqual(namesOf(await read(walk, 2)), ["image"]);
  assert.deepEqual(namesOf(await read(walk, 3)), []);
  await upsert(walk, { id: id(1), vectors: named({ text: dense(...TEXT) }) });
  assert.deepEqual(namesOf(await read(walk, 1)), ["text"]);
}

// The indices come back sorted, the values with them.
export async function sparseVectors(walk) {
  await createNamed(walk);
  await upsert(walk, { id: id(1), vectors: named({ words: sparse([6, 7], [1, 2]) }) });
  await upsert(walk, { id: id(2), vectors: named({ words: sparse([4294967295, 5, 0], [0.1, 0.2, -0.3]) }) });
  const words = async (number) => namedOf(await read(walk, number)).words.vector;
  const sorted = await words(1);
  assert.equal(sorted.case, "sparse");
  assert.deepEqual([sorted.value.indices, sorted.value.values], [[6, 7], [1, 2]]);
  const unsorted = await words(2);
  assert.deepEqual([unsorted.value.indices, unsorted.value.values], [[0, 5, 4294967295], floats(-0.3, 0.2, 0.1)]);
  const twice = { id: id(3), vectors: named({ words: sparse([1, 1, 2], [0.1, 0.2, 0.3]) }) };
  await assert.rejects(upsert(walk, twice), "an index twice");
}

// Any number of rows.
export async function multiVectors(walk) {
  await createNamed(walk);
  const rows = [[1, 2], [3, 4], [5, 6]];
  for (let count = 1; count <= rows.length; count++) {
    await upsert(walk, { id: id(count), vectors: named({ tokens: multi(...rows.slice(0, count)) }) });
    const { vector } = namedOf(await read(walk, count)).tokens;
    assert.equal(vector.case, "multiDense");
    assert.deepEqual(vector.value.vectors.map(({ data }) => data), rows.slice(0, count));
  }
}

// Updates and deletions of some vectors keep the others, the payload and the point.
export async function changedVectors(walk) {
  const { points, collection: collectionName } = walk;
  await createNamed(walk);
  for (let number = 0; number < 4; number++) {
    await upsert(walk, {
      id: id(number),
      vectors: named({ image: dense(...IMAGE), text: dense(...TEXT), words: sparse([1], [1]) }),
      payload: payloadFrom({ n: BigInt(number) }),
    });
  }
  const newText = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2];
  completed(
    await points.updateVectors({
      collectionName,
      wait: true,
      points: [
        { id: id(1), vectors: named({ image: dense(0.1, 0.2, 0.3, 0.4) }) },
        { id: id(2), vectors: named({ text: dense(...newText) }) },
      ],
    }),
  );
  const first = await read(walk, 1);
  const second = await read(walk, 2);
  assert.deepEqual(denseData(first, "image"), floats(0.1, 0.2, 0.3, 0.4));
  assert.deepEqual(denseData(first, "text"), floats(...TEXT));
  assert.deepEqual(denseData(second, "image"), floats(...IMAGE));
  assert.deepEqual(denseData(second, "text"), floats(...newText));
  assert.deepEqual(plainPayload(first.payload), { n: 1n });

  const vectors = { names: ["text", "image"] };
  completed(await points.deleteVectors({ collectionName, wait: true, pointsSelector: selected(0, 3), vectors }));
  const left = [["words"], ["image", "text", "words"], ["image", "text", "words"], ["words"]];
  for (const [number, names] of left.entries()) {
    const point = await read(walk, number);
    assert.deepEqual(namesOf(point), names);
    assert.deepEqual(plainPayload(point.payload), { n: BigInt(number) });
  }
  const missing = points.deleteVectors({ collectionName, wait: true, pointsSelector: selected(100), vectors });
  await assert.rejects(missing, { code: ConnectErrorCode.NotFound });
}
