"""Usage: `guide.py HOST:PORT`."""

import sys

import grpc
from qdrant_client import QdrantClient, models

host, _, port = sys.argv[1].rpartition(":")
client = QdrantClient(
    host=host,
    grpc_port=int(port),
    prefer_grpc=True,
    check_compatibility=False,  # that check asks the HTTP port, where nothing listens
    timeout=30,
    pool_size=4,
    grpc_options={"grpc.use_local_subchannel_pool": 1},
)
client.create_collection("guide-python", models.VectorParams(size=4, distance=models.Distance.COSINE))
client.upsert(
    "guide-python",
    [
        models.PointStruct(id=1, vector=[0.05, 0.61, 0.76, 0.74], payload={"city": "Berlin"}),
        models.PointStruct(id=2, vector=[0.19, 0.81, 0.75, 0.11], payload={"city": "London"}),
    ],
)
london = models.Filter(must=[models.FieldCondition(key="city", match=models.MatchValue(value="London"))])
for hit in client.query_points("guide-python", [0.2, 0.1, 0.9, 0.7], query_filter=london, limit=3).points:
    sys.stdout.write(f"{hit.id} {hit.score:.3f} {hit.payload}\n")
try:
    client.retrieve("no-such-collection", [1])
except grpc.RpcError as error:
    sys.stdout.write(f"{error.code()}: {error.details()}\n")
client.delete_collection("guide-python")
client.close()
