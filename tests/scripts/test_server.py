"""What the kernel says about processes and connections."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from scripts.benchmark.server import established_inodes, parse_rollup, process_cpu_s, socket_inodes

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:18BE 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 101 1 0 100 0 0 10 0
   1: 0100007F:18BE 0100007F:A1B2 01 00000000:00000000 00:00000000 00000000     0        0 102 1 0 20 4 30 10 -1
   2: 0100007F:A1B2 0100007F:18BE 01 00000000:00000000 00:00000000 00000000     0        0 103 1 0 20 4 30 10 -1
   3: 0000000000000000FFFF00000100007F:18BE 0000000000000000FFFF00000100007F:A1B4 01 0:0 00:0 0 0 0 104 1 0
"""


def test_only_connections_established_to_the_port_count() -> None:
    assert established_inodes(TABLE, 0x18BE) == {102, 104}


def test_a_real_connection_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0] as accepted:
            inode = os.fstat(accepted.fileno()).st_ino
            assert established_inodes(Path("/proc/net/tcp").read_text(), port) == {inode}
            assert inode in socket_inodes(os.getpid())


def test_cpu_of_a_process_is_the_kernels_count() -> None:
    assert process_cpu_s(os.getpid()) == pytest.approx(time.process_time(), abs=0.1)


def test_parse_rollup() -> None:
    text = "55d0-7ffc ---p 00000000 00:00 0    [rollup]\nRss:  9 kB\nPrivate_Clean:  12 kB\nPrivate_Dirty:  30 kB\n"
    memory = parse_rollup(text)
    assert (memory.clean, memory.dirty, memory.total) == (12 * 1024, 30 * 1024, 42 * 1024)
