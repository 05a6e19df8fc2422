"""The official client walks through the Points page of the documentation, first the asynchronous one, then the other.

Usage: `python -m tests.interop.python HOST:PORT`. Ends with status 0, or with the first assertion that does not hold.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, cast

import grpc
from qdrant_client import AsyncQdrantClient, QdrantClient

from tests.interop.python import batches, ids, payloads, reads, uploads, vectors
from tests.interop.python.collection import Collection, assert_refused


class Blocking:
    """A synchronous client in the manners of the asynchronous one, so that one walk does for both."""

    def __init__(self, client: QdrantClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 # any method of the client
        method = getattr(self._client, name)

        async def call(*args: Any, **options: Any) -> Any:  # noqa: ANN401 # as above
            return method(*args, **options)

        return call


async def walk(client: AsyncQdrantClient, prefix: str) -> None:
    """Walk through the page with collections of this prefix."""
    await ids.walk(Collection(client, f"{prefix}-ids"))
    await vectors.walk(Collection(client, f"{prefix}-vectors"))
    await payloads.walk(Collection(client, f"{prefix}-payloads"))
    await reads.walk(Collection(client, f"{prefix}-reads"))
    await batches.walk(Collection(client, f"{prefix}-batches"))
    text = await assert_refused(client.count("python-none"), grpc.StatusCode.NOT_FOUND)
    assert text == "Not found: Collection `python-none` doesn't exist!"


async def main(address: str) -> None:
    """Walk with every client and upload in every form."""
    host, _, port = address.rpartition(":")
    # Nothing listens on the HTTP port, nor is it asked for its version.
    options: dict[str, Any] = {"host": host, "grpc_port": int(port), "port": 1, "prefer_grpc": True, "timeout": 60}
    asynchronous = AsyncQdrantClient(**options, check_compatibility=False)
    synchronous = QdrantClient(**options, check_compatibility=False)
    try:
        await walk(asynchronous, "python-async")
        await walk(cast("AsyncQdrantClient", Blocking(synchronous)), "python-sync")
    finally:
        await asynchronous.close()
    uploads.walk(synchronous, "python-uploads")
    synchronous.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
    sys.stdout.write("walked through the Points page\n")
