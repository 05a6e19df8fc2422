// Writes a point and reads it back, with TypeScript generated from proto/ by protoc-gen-es.
//
// Usage: node built/roundtrip.js HOST:PORT

import assert from "node:assert/strict";

import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

import { Distance } from "./qdrant/collections_pb.js";
import { Collections } from "./qdrant/collections_service_pb.js";
import { UpdateStatus } from "./qdrant/points_pb.js";
import { Points } from "./qdrant/points_service_pb.js";

const transport = createGrpcTransport({ baseUrl: `http://${process.argv[2]}` });
const collections = createClient(Collections, transport);
const points = createClient(Points, transport);
const collectionName = `ts-stubs-${process.pid}`;

await collections.create({
  collectionName,
  vectorsConfig: { config: { case: "params", value: { size: 2n, distance: Distance.Dot } } },
});
const written = await points.upsert({
  collectionName,
  wait: true,
  points: [
    {
      id: { pointIdOptions: { case: "num", value: 7n } },
      vectors: { vectorsOptions: { case: "vector", value: { vector: { case: "dense", value: { data: [1, 2] } } } } },
      payload: { color: { kind: { case: "stringValue", value: "red" } } },
    },
  ],
});
assert.equal(written.result?.status, UpdateStatus.Completed);

const read = await points.get({
  collectionName,
  ids: [{ pointIdOptions: { case: "num", value: 7n } }],
  withPayload: { selectorOptions: { case: "enable", value: true } },
  withVectors: { selectorOptions: { case: "enable", value: true } },
});
const [point] = read.result;
assert.deepEqual(point.id?.pointIdOptions, { case: "num", value: 7n });
assert.deepEqual(point.payload.color.kind, { case: "stringValue", value: "red" });
const vectors = point.vectors?.vectorsOptions;
assert(vectors?.case === "vector" && vectors.value.vector.case === "dense");
assert.deepEqual(vectors.value.vector.value.data, [1, 2]);
await collections.delete({ collectionName });
process.exit(0);
