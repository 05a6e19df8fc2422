"""The programs in docs/clients are the ones that the tests run."""

from __future__ import annotations

import pytest

from tests.interop.conftest import HERE

GUIDES = HERE.parent.parent / "docs" / "clients"


@pytest.mark.parametrize(
    ("guide", "source"),
    [
        ("python", "python/guide.py"),
        ("rust", "rust/src/bin/guide.rs"),
        ("rust", "rust/build.rs"),
        ("java", "java/walk/src/main/java/pointstore/interop/Guide.java"),
        ("cpp", "cpp/guide.cc"),
    ],
)
def test_a_guide_shows_its_program(guide: str, source: str) -> None:
    assert (HERE / source).read_text() in (GUIDES / f"{guide}.md").read_text()
