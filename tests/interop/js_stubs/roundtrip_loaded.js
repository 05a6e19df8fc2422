// Writes a point and reads it back, with proto/ loaded at run time by @grpc/proto-loader.
//
// Usage: node roundtrip_loaded.js PROTO_DIR HOST:PORT

import assert from "node:assert/strict";
import { promisify } from "node:util";

import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const [protoDir, address] = process.argv.slice(2);
const definition = loadSync("qdrant.proto", { includeDirs: [protoDir], keepCase: true, longs: String, enums: String, oneofs: true });
const { qdrant } = grpc.loadPackageDefinition(definition);
const insecure = grpc.credentials.createInsecure();

const methods = (client) =>
  new Proxy(client, { get: (target, name) => promisify(target[name]).bind(target) });
const service = (Service) => methods(new Service(address, insecure));
const collections = service(qdrant.Collections);
const points = service(qdrant.Points);
const collection_name = `js-loaded-${process.pid}`;

await collections.Create({ collection_name, vectors_config: { params: { size: 2, distance: "Dot" } } });
const written = await points.Upsert({
  collection_name,
  wait: true,
  points: [{ id: { num: 7 }, vectors: { vector: { dense: { data: [1, 2] } } }, payload: { color: { string_value: "red" } } }],
});
assert.equal(written.result.status, "Completed");
const read = await points.Get({
  collection_name,
  ids: [{ num: 7 }],
  with_payload: { enable: true },
  with_vectors: { enable: true },
});
const [point] = read.result;
assert.equal(point.id.num, "7");
assert.equal(point.payload.color.string_value, "red");
assert.deepEqual(point.vectors.vector.dense.data, [1, 2]);
await collections.Delete({ collection_name });
process.exit(0);
