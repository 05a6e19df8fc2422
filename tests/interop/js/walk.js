// Goes through the Points page of the documentation with the official client, and asserts every result.
//
// Usage: node walk.js HOST:PORT. It ends with status 0 when all answers were as expected.

import { QdrantClient } from "@qdrant/js-client-grpc";

import { batch, deletedPoints, ids, payload, records, wait } from "./writing.js";
import { changedVectors, multiVectors, namedVectors, sparseVectors } from "./vectors.js";
import { count, errors, orderBy, retrieve, scroll, search } from "./reading.js";

const steps = [
  ids, records, namedVectors, sparseVectors, multiVectors, changedVectors, payload, deletedPoints,
  retrieve, scroll, orderBy, count, batch, wait, search, errors,
];

const address = process.argv[2];
if (!address) {
  console.error("usage: node walk.js HOST:PORT");
  process.exit(2);
}
const client = new QdrantClient({ url: `http://${address}` });
const collections = client.api("collections");
const points = client.api("points");
try {
  for (const [number, step] of steps.entries()) {
    const collection = `js-walk-${process.pid}-${number}`;
    await step({ collections, points, collection });
    await collections.delete({ collectionName: collection });
    console.log("ok", step.name);
  }
} catch (error) {
  console.error(error);
  process.exit(1);
}
// The connection stays open for a while and would keep the process.
process.exit(0);
