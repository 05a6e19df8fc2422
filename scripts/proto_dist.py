"""Pack the wire contract: the .proto files, their descriptor set, the licence, in one versioned archive.

The same sources give the same bytes, wherever and whenever they are packed. With ``--baseline`` the descriptor set is
written to proto/baseline.binpb instead: the contract as published, which later ones may only extend.
"""

from __future__ import annotations

import argparse
import gzip
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from pointstore import __version__

ROOT = Path(__file__).resolve().parent.parent
PROTO_DIR = ROOT / "proto"
BASELINE = PROTO_DIR / "baseline.binpb"
DESCRIPTOR_SET = "api.binpb"


def descriptor_set(proto_dir: Path, *, comments: bool) -> bytes:
    """Return the serialized FileDescriptorSet of all files of a folder and what they import.

    Raises:
        subprocess.CalledProcessError: protoc refused a file; it has said why on standard error.

    """
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch, "set")
        options = ["--include_imports", f"--descriptor_set_out={target}"]
        if comments:
            options.append("--include_source_info")
        names = sorted(path.name for path in proto_dir.glob("*.proto"))
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{proto_dir}", *options, *names]
        # Its warnings about unused imports are expected; scripts/generate_proto.py shows all others.
        subprocess.run(command, check=True, stderr=subprocess.PIPE)
        return target.read_bytes()


def archive(proto_dir: Path, licence: Path, folder: str) -> bytes:
    """Return the tar.gz of the contract, all of it inside `folder`."""
    files = {path.name: path.read_bytes() for path in proto_dir.glob("*.proto")}
    files["README.md"] = (proto_dir / "README.md").read_bytes()
    files["buf.yaml"] = (proto_dir / "buf.yaml").read_bytes()
    files["LICENSE"] = licence.read_bytes()
    files[DESCRIPTOR_SET] = descriptor_set(proto_dir, comments=True)
    buffer = io.BytesIO()
    # No times, owners or modes of the machine: they would make two archives of the same files differ.
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", filename="", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def main() -> int:
    """Write the archive, or the baseline; print where."""
    parser = argparse.ArgumentParser(description="Pack the wire contract.")
    parser.add_argument("--baseline", action="store_true", help="write proto/baseline.binpb instead")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="folder of the archive")
    arguments = parser.parse_args()
    if arguments.baseline:
        target, content = BASELINE, descriptor_set(PROTO_DIR, comments=False)
    else:
        folder = f"pointstore-proto-{__version__}"
        target, content = arguments.output / f"{folder}.tar.gz", archive(PROTO_DIR, ROOT / "LICENSE", folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
