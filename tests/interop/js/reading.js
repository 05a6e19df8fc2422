// Reads: by ids, in pages, in order, counted, nearest.

import assert from "node:assert/strict";

import { ConnectErrorCode } from "@qdrant/js-client-grpc";

import * as forms from "./forms.js";
import { create, createNamed, dense, enabled, id, idsOf, match, named, namesOf, payloadFrom, plainPayload } from "./forms.js";
import { IMAGE, TEXT } from "./vectors.js";

const INTEGER_FIELD = 1;
const DESCENDING = 1;

// By ids, with selectors of payload and vectors.
export async function retrieve(walk) {
  await createNamed(walk);
  await forms.upsert(walk, {
    id: id(3),
    vectors: named({ image: dense(...IMAGE), text: dense(...TEXT) }),
    payload: payloadFrom({ a: 1n, b: { c: 2n, d: 3n } }),
  });
  const get = async (selectors) => {
    const ids = [0, 3, 100].map(id);
    const { result } = await walk.points.get({ collectionName: walk.collection, ids, ...selectors });
    assert.equal(idsOf(result), "3", "missing points are left out");
    return result[0];
  };
  const payload = async (withPayload) => plainPayload((await get({ withPayload })).payload);
  const names = async (withVectors) => namesOf(await get({ withVectors }));
  assert.deepEqual(await payload(undefined), {});
  assert.deepEqual(await payload(enabled(true)), { a: 1n, b: { c: 2n, d: 3n } });
  assert.deepEqual(await payload(enabled(false)), {});
  assert.deepEqual(await payload(forms.included("fields", "b.c")), { b: { c: 2n } });
  assert.deepEqual(await payload(forms.excluded("b.c")), { a: 1n, b: { d: 3n } });
  assert.deepEqual(await names(undefined), []);
  assert.deepEqual(await names(enabled(true)), ["image", "text"]);
  assert.deepEqual(await names(forms.included("names", "text")), ["text"]);
}

// By filter, page by page, in the order of ids.
export async function scroll(walk) {
  await forms.colors(walk);
  const page = (request) => walk.points.scroll({ collectionName: walk.collection, ...request });
  const red = { filter: { must: [match("color", "red")] }, limit: 1, withPayload: enabled(true) };
  const first = await page(red);
  assert.equal(idsOf(first.result), "1");
  assert.deepEqual(plainPayload(first.result[0].payload), { color: "red", n: 10n });
  assert.equal(first.result[0].vectors, undefined);
  const second = await page({ ...red, offset: first.nextPageOffset });
  assert.equal(idsOf(second.result), "4");
  assert.equal(second.nextPageOffset, undefined);
  const pages = [];
  let offset;
  do {
    const { result, nextPageOffset } = await page({ limit: 4, offset });
    pages.push(idsOf(result));
    offset = nextPageOffset;
  } while (offset !== undefined);
  assert.deepEqual(pages, ["1 2 3 4", "5 6"]);
}

// Both directions, from a value on, and pages made with it.
export async function orderBy(walk) {
  const { points, collection: collectionName } = walk;
  await forms.colors(walk);
  forms.completed(
    await points.createFieldIndex({ collectionName, fieldName: "n", fieldType: INTEGER_FIELD, wait: true }),
  );
  const ordered = async (order, filter) => {
    const request = { collectionName, limit: 3, orderBy: { key: "n", ...order }, filter };
    const { result, nextPageOffset } = await points.scroll(request);
    assert.equal(nextPageOffset, undefined);
    for (const point of result) {
      assert.equal(point.orderValue.variant.value, plainPayload(point.payload).n);
    }
    return idsOf(result);
  };
  const down = { direction: DESCENDING };
  const from40 = { startFrom: { value: { case: "integer", value: 40n } } };
  assert.equal(await ordered({}), "1 2 3");
  assert.equal(await ordered(down), "6 5 4");
  assert.equal(await ordered(from40), "4 5 6");
  assert.equal(await ordered({ ...down, ...from40 }), "4 3 2");
  assert.equal(await ordered({ ...down, ...from40 }, { mustNot: [forms.hasId(4)] }), "3 2 1");
}

// Exact and not, with and without filter.
export async function count(walk) {
  await forms.colors(walk);
  const counted = async (request) =>
    (await walk.points.count({ collectionName: walk.collection, ...request })).result?.count;
  const filter = { must: [match("color", "red")] };
  for (const exact of [undefined, true, false]) {
    assert.equal(await counted({ exact }), 6n);
    const red = await counted({ exact, filter });
    if (exact ?? true) assert.equal(red, 2n);
    else assert.ok(red >= 0n && red <= 6n, "an estimate of the red ones is possible");
  }
}

// The nearest points, all or under a filter.
export async function search(walk) {
  await forms.colors(walk);
  const nearest = { variant: { case: "nearest", value: { variant: { case: "dense", value: { data: [0.2, 0.1, 0.9] } } } } };
  const query = async (filter) => {
    const request = { collectionName: walk.collection, query: { variant: nearest.variant }, filter, limit: 2n };
    const { result } = await walk.points.query({ ...request, withPayload: enabled(true) });
    return result.map(({ id, score, payload }) => [idsOf([{ id }]), score.toFixed(4), plainPayload(payload).color]);
  };
  assert.deepEqual((await query(undefined)).sort(), [["3", "0.8400", "blue"], ["6", "0.8400", "blue"]]);
  const late = { must: [match("color", "red"), forms.range("n", { gt: 10 })] };
  assert.deepEqual(await query(late), [["4", "0.2800", "red"]]);
}

// A status and a line that tells what was wrong.
export async function errors(walk) {
  const { points, collection: collectionName } = walk;
  await assert.rejects(points.count({ collectionName }), { code: ConnectErrorCode.NotFound });
  await create(walk, 3);
  const short = { id: id(1), vectors: forms.unnamed(1, 2) };
  await assert.rejects(points.upsert({ collectionName, wait: true, points: [short] }), (error) => {
    assert.equal(error.code, ConnectErrorCode.InvalidArgument);
    assert.notEqual(error.rawMessage, "");
    return true;
  });
}
