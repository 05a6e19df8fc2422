"""Declarative field validation: one walker over messages, driven by the table in `rules.py`."""

from __future__ import annotations

from pointstore.wire.vector_rules import legacy_multi_violation, multi_violation, sparse_violation

__all__ = ["legacy_multi_violation", "multi_violation", "sparse_violation"]
