"""How text indexes answer full-text checks on the strings of one payload (specification part 2, 8.2)."""

from __future__ import annotations

from functools import partial
from typing import assert_never

from pointstore.core.fields import FieldIndexes, FieldParams, FieldType
from pointstore.core.filter import MatchPhrase, MatchText, MatchTextAny, TextCheck
from pointstore.core.path import Path
from pointstore.core.truth import TextLookup, TextTest
from pointstore.text.analyzer import Analyzer, analyzer_of


def text_lookup(fields: FieldIndexes) -> TextLookup:
    """Return the function that finds how the text index of a path, if it has one, answers a check."""

    def lookup(path: Path, base: Path | None, check: TextCheck) -> TextTest | None:
        index = fields.of_client(str(path))
        if index is None or index.schema is None or index.schema.type is not FieldType.TEXT or not index.ready:
            return None
        test = text_test(index.schema.effective, check)
        # The strings of an element belong together only where the index keeps elements apart (5.15).
        pooled = base is None or index.schema.effective.nested == str(base)
        return test if pooled else partial(_any_string, test)

    return lookup


def text_test(params: FieldParams, check: TextCheck) -> TextTest:
    """Return the test of a check on the strings of one field of one payload, pooled but for phrases."""
    analyzer = analyzer_of(params)
    match check:
        case MatchText(query):
            return partial(_all_tokens, analyzer, frozenset(analyzer.query(query)))
        case MatchTextAny(query):
            return partial(_any_token, analyzer, frozenset(analyzer.query(query)))
        case MatchPhrase(query):
            tokens = analyzer.phrase(query) if params.phrase_matching else []
            return partial(_phrase, analyzer, tokens)
        case _:
            assert_never(check)


def _any_string(test: TextTest, strings: list[str]) -> bool:
    return any(test([text]) for text in strings)


def _tokens(analyzer: Analyzer, strings: list[str]) -> set[str]:
    return {token for text in strings for token in analyzer.documents(text)}


def _all_tokens(analyzer: Analyzer, wanted: frozenset[str], strings: list[str]) -> bool:
    return bool(wanted) and wanted <= _tokens(analyzer, strings)


def _any_token(analyzer: Analyzer, wanted: frozenset[str], strings: list[str]) -> bool:
    return not wanted.isdisjoint(_tokens(analyzer, strings))


def _phrase(analyzer: Analyzer, wanted: list[str], strings: list[str]) -> bool:
    """Look for consecutive tokens within one string."""
    if not wanted:
        return False
    for text in strings:
        tokens = analyzer.sequence(text)
        starts = (i for i, token in enumerate(tokens[: len(tokens) - len(wanted) + 1]) if token == wanted[0])
        if any(tokens[i : i + len(wanted)] == wanted for i in starts):
            return True
    return False
