"""The archive of the wire contract: what is in it, and that it is the same bytes every time."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from pointstore import __version__
from scripts.proto_dist import BASELINE, DESCRIPTOR_SET, PROTO_DIR, archive, descriptor_set
from tests.conftest import ROOT

LICENCE = ROOT / "LICENSE"
METHODS = 51


def test_the_archive_holds_the_contract(tmp_path: Path) -> None:
    folder = "pointstore-proto-9"
    with tarfile.open(fileobj=io.BytesIO(archive(PROTO_DIR, LICENCE, folder))) as tar:
        tar.extractall(tmp_path, filter="data")
    assert [path.name for path in tmp_path.iterdir()] == [folder]
    unpacked = tmp_path / folder
    protos = {path.name: path.read_bytes() for path in PROTO_DIR.glob("*.proto")}
    assert {path.name: path.read_bytes() for path in unpacked.glob("*.proto")} == protos
    assert (unpacked / "LICENSE").read_bytes() == LICENCE.read_bytes()
    # What was unpacked compiles by itself, to what is beside it.
    described = (unpacked / DESCRIPTOR_SET).read_bytes()
    assert descriptor_set(unpacked, comments=True) == described
    files = {file.name: file for file in FileDescriptorSet.FromString(described).file}
    assert files.keys() == {*protos, "google/protobuf/timestamp.proto"}
    assert all(files[name].HasField("source_code_info") for name in protos)
    assert sum(len(service.method) for file in files.values() for service in file.service) == METHODS


def test_times_owners_and_places_of_the_files_change_no_byte(tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(PROTO_DIR, copy)
    for path in copy.iterdir():
        os.utime(path, (1, 1))
        path.chmod(0o600)
    packed = archive(PROTO_DIR, LICENCE, "folder")
    assert archive(copy, LICENCE, "folder") == packed
    with (copy / "points.proto").open("a") as file:
        file.write("// changed\n")
    assert archive(copy, LICENCE, "folder") != packed


def test_the_command_writes_the_version_into_the_name(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "proto_dist.py"), "--output", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "server")}
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    assert Path(printed.strip()) == tmp_path / f"pointstore-proto-{__version__}.tar.gz"
    assert Path(printed.strip()).stat().st_size > 0


def test_the_baseline_is_a_descriptor_set_of_the_whole_api() -> None:
    files = FileDescriptorSet.FromString(BASELINE.read_bytes()).file
    assert sum(len(service.method) for file in files for service in file.service) == METHODS
