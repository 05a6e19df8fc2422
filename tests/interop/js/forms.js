// Shorter forms of messages, and what points look like as text.

import assert from "node:assert/strict";

const SPELLED_UUID = /[-:]|^[0-9a-f]{32}$/i;

export const COMPLETED = 2;
export const ACKNOWLEDGED = 1;
export const DOT = 3;
export const EUCLID = 2;

export const id = (value) =>
  typeof value === "string" && SPELLED_UUID.test(value)
    ? { pointIdOptions: { case: "uuid", value } }
    : { pointIdOptions: { case: "num", value: BigInt(value) } };

export const idsOf = (points) => points.map((point) => String(point.id.pointIdOptions.value)).join(" ");

export const selected = (...values) => ({
  pointsSelectorOneOf: { case: "points", value: { ids: values.map(id) } },
});

export const filtered = (...conditions) => ({
  pointsSelectorOneOf: { case: "filter", value: { must: conditions } },
});

export const dense = (...data) => ({ vector: { case: "dense", value: { data } } });
export const sparse = (indices, values) => ({ vector: { case: "sparse", value: { indices, values } } });
export const multi = (...rows) => ({
  vector: { case: "multiDense", value: { vectors: rows.map((data) => ({ data })) } },
});
export const unnamed = (...data) => ({ vectorsOptions: { case: "vector", value: dense(...data) } });
export const named = (vectors) => ({ vectorsOptions: { case: "vectors", value: { vectors } } });

export const enabled = (enable) => ({ selectorOptions: { case: "enable", value: enable } });
export const included = (key, ...names) => ({ selectorOptions: { case: "include", value: { [key]: names } } });
export const excluded = (...fields) => ({ selectorOptions: { case: "exclude", value: { fields } } });

const field = (condition) => ({ conditionOneOf: { case: "field", value: condition } });
export const match = (key, keyword) => field({ key, match: { matchValue: { case: "keyword", value: keyword } } });
export const range = (key, limits) => field({ key, range: limits });
export const hasId = (...values) => ({ conditionOneOf: { case: "hasId", value: { hasId: values.map(id) } } });

export const value = (plain) => {
  if (plain === null) return { kind: { case: "nullValue", value: 0 } };
  if (Array.isArray(plain)) return { kind: { case: "listValue", value: { values: plain.map(value) } } };
  switch (typeof plain) {
    case "bigint":
      return { kind: { case: "integerValue", value: plain } };
    case "number":
      return { kind: { case: "doubleValue", value: plain } };
    case "string":
      return { kind: { case: "stringValue", value: plain } };
    case "boolean":
      return { kind: { case: "boolValue", value: plain } };
    default:
      return { kind: { case: "structValue", value: { fields: payloadFrom(plain) } } };
  }
};

// Integers are BigInt, as the client reads them; numbers are floats.
export const payloadFrom = (plain) =>
  Object.fromEntries(Object.entries(plain).map(([key, item]) => [key, value(item)]));

const plainOf = ({ kind }) => {
  switch (kind.case) {
    case "structValue":
      return plainPayload(kind.value.fields);
    case "listValue":
      return kind.value.values.map(plainOf);
    case "nullValue":
      return null;
    default:
      return kind.value;
  }
};

export const plainPayload = (fields) =>
  Object.fromEntries(Object.entries(fields).map(([key, item]) => [key, plainOf(item)]));

export const floats = (...values) => Array.from(new Float32Array(values));
export const denseOf = (point) => {
  const options = point.vectors?.vectorsOptions;
  return options?.case === "vector" ? options.value.vector.value.data : [];
};
export const namedOf = (point) => {
  const options = point.vectors?.vectorsOptions;
  return options?.case === "vectors" ? options.value.vectors : {};
};
export const namesOf = (point) => Object.keys(namedOf(point)).sort();

export async function create({ collections, collection }, size) {
  const config = { config: { case: "params", value: { size: BigInt(size), distance: DOT } } };
  await collections.create({ collectionName: collection, vectorsConfig: config });
}

// The dense vectors `image` (4) and `text` (8), the multi-vector `tokens` (2) and the sparse vector `words`.
export async function createNamed({ collections, collection }) {
  const map = {
    image: { size: 4n, distance: DOT },
    text: { size: 8n, distance: EUCLID },
    tokens: { size: 2n, distance: DOT, multivectorConfig: { comparator: 0 } },
  };
  await collections.create({
    collectionName: collection,
    vectorsConfig: { config: { case: "paramsMap", value: { map } } },
    sparseVectorsConfig: { map: { words: {} } },
  });
}

// Points 1 to 6, red, green and blue in turn, with `n` from 10 to 60.
export async function colors(walk) {
  await create(walk, 3);
  const points = Array.from({ length: 6 }, (_, number) => ({
    id: id(number + 1),
    vectors: unnamed(...[0, 1, 2].map((axis) => (axis === number % 3 ? 0.9 : 0.1))),
    payload: payloadFrom({ color: ["red", "green", "blue"][number % 3], n: BigInt(10 * (number + 1)) }),
  }));
  await upsert(walk, ...points);
}

export async function upsert({ points, collection }, ...structs) {
  completed(await points.upsert({ collectionName: collection, wait: true, points: structs }));
}

// Asserts what a write with `wait` answers.
export function completed(response) {
  assert.equal(response.result?.status, COMPLETED);
}

// Reads one point with everything; undefined if there is none.
export async function read({ points, collection }, value) {
  const { result } = await points.get({
    collectionName: collection,
    ids: [id(value)],
    withPayload: enabled(true),
    withVectors: enabled(true),
  });
  return result[0];
}

export async function total({ points, collection }) {
  const { result } = await points.count({ collectionName: collection, exact: true });
  return result?.count;
}
