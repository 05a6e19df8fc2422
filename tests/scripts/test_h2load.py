"""What h2load prints, and what it is given to send."""

from __future__ import annotations

import pytest

from scripts.benchmark import h2load
from scripts.benchmark.h2load import LoadGeneratorError, frame, parse_log, parse_run

OUTPUT = """\
starting benchmark...
Application protocol: h2c
progress: 100% done

finished in {time}, 3650.10 req/s, 747.89KB/s
requests: {total} total, {total} started, {total} done, {good} succeeded, {failed} failed, 0 errored, 0 timeout
status codes: {total} 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 614.69KB (629444) total, 9.08KB (9300) headers (space savings 96.17%), 465.82KB (477000) data
                     min         max         mean         sd        +/- sd
time for request:      720us     31.66ms      8.25ms      3.17ms    77.00%
"""


def output(time: str = "821.90ms", total: int = 3000, good: int = 3000, failed: int = 0) -> str:
    return OUTPUT.format(time=time, total=total, good=good, failed=failed)


def test_frame_is_a_flag_and_a_big_endian_length() -> None:
    assert frame(b"") == b"\0\0\0\0\0"
    assert frame(b"x" * 0x0102) == b"\0\0\0\x01\x02" + b"x" * 0x0102


@pytest.mark.parametrize(("time", "seconds"), [("821.90ms", 0.8219), ("9.53s", 9.53), ("1.50m", 90.0)])
def test_parse_run(time: str, seconds: float) -> None:
    run = parse_run(output(time))
    assert run.calls == 3000
    assert run.seconds == pytest.approx(seconds)
    assert run.rate == pytest.approx(3000 / seconds)
    assert run.data_bytes == 477_000


def test_a_run_with_failed_calls_is_refused() -> None:
    with pytest.raises(LoadGeneratorError, match="2990 of 3000"):
        parse_run(output(good=2990, failed=10))


def test_output_without_results_is_refused() -> None:
    with pytest.raises(LoadGeneratorError, match="Could not open"):
        parse_run("-d: Could not open file /nowhere")


def test_parse_log() -> None:
    samples = parse_log("1795365980593049\t200\t2646\n1795365980594408\t200\t1321\n")
    assert samples.tolist() == [[1795365980593049, 200, 2646], [1795365980594408, 200, 1321]]


def test_a_missing_h2load_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LoadGeneratorError, match="apt-get install nghttp2-client"):
        h2load.require_h2load()
