"""The frame itself: what it skips, what it fails, and that a spoiled answer is one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from qdrant_grpc.points_pb2 import CountPoints
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from qdrant_grpc.qdrant_pb2 import HealthCheckRequest
from qdrant_grpc.qdrant_pb2_grpc import QdrantStub
from tests.interop.conftest import CommandError, copy_sources, execute
from tests.interop.spoiling import SpoilingProxy

if TYPE_CHECKING:
    from tests.conftest import Server
    from tests.interop.conftest import Toolchain


def test_a_missing_toolchain_skips_with_its_name(toolchain: Toolchain) -> None:
    toolchain(Path(sys.executable).name)
    with pytest.raises(pytest.skip.Exception, match=r"this machine has no no-such-compiler$"):
        toolchain(sys.executable, "no-such-compiler")


def test_a_failing_command_tells_what_it_wrote() -> None:
    with pytest.raises(CommandError, match=r"(?s)ended with status 3.*to both.*ends"):
        execute([sys.executable, "-c", "import sys; print('to both'); print('ends', file=sys.stderr); sys.exit(3)"])
    with pytest.raises(CommandError, match="did not end within 1 s"):
        execute(["sh", "-c", "sleep 60 & sleep 60"], timeout_s=1)


def test_a_workspace_follows_its_sources_and_keeps_what_was_built(tmp_path: Path) -> None:
    source, folder = tmp_path / "source", tmp_path / "folder"
    (source / "src").mkdir(parents=True)
    (source / "src" / "kept").write_text("1")
    (source / "src" / "dropped").write_text("1")
    copy_sources(source, folder)
    (folder / "built").write_text("1")
    before = (folder / "src" / "kept").stat().st_mtime_ns
    (source / "src" / "dropped").unlink()
    (source / "src" / "added").write_text("1")
    copy_sources(source, folder)
    assert {path.name for path in folder.rglob("*") if path.is_file()} == {".sources", "built", "kept", "added"}
    assert (folder / "src" / "kept").stat().st_mtime_ns == before


def test_the_proxy_spoils_one_method_and_forwards_the_others(shared_server: Server) -> None:
    with (
        SpoilingProxy(shared_server.address, "/qdrant.Qdrant/HealthCheck") as proxy,
        grpc.insecure_channel(proxy.address) as channel,
    ):
        assert not QdrantStub(channel).HealthCheck(HealthCheckRequest(), timeout=20).title
        with pytest.raises(grpc.RpcError) as caught:
            PointsStub(channel).Count(CountPoints(collection_name="none"), timeout=20)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert proxy.calls == 1
