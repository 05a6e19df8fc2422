"""The worked examples of full-text checks (specification part 2, 8 and 10.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.wire.filter_tables import Table, field, must, must_not, nested, rows

if TYPE_CHECKING:
    from pointstore.core.schema import Json


def text(query: str, kind: str = "text", key: str = "t") -> str:
    """Return a filter with a full-text check."""
    return must(field(key, f"match {{ {kind}: '{query}' }}"))


def phrase(query: str) -> str:
    """Return a filter for a phrase."""
    return text(query, "phrase")


def index(params: str, tokenizer: str = "Word") -> tuple[tuple[str, str, str], ...]:
    """Return a text index of the field `t`."""
    return (("t", "Text", f"tokenizer: {tokenizer} {params}"),)


PHRASES = "phrase_matching: true"

UNINDEXED = Table(
    *rows(
        [{"t": "Hello World"}, {"t": "hello, big world!"}, {"t": "helloworld"}, {"t": ["hello", "world"]}, {"t": 5}],
        {
            text("HELLO world"): "TTFFF",
            text("world hello"): "TTFFF",
            text("zebra world", "text_any"): "TTFTF",
            phrase("hello world"): "TFFFF",
            phrase("hello, world!"): "TFFFF",
            text("hel"): "FFFFF",
            text(""): "FFFFF",
            text(" !!! "): "FFFFF",
            text("", "text_any"): "FFFFF",
            phrase("!"): "FFFFF",
        },
    ),
    indexes=(("t", "Keyword", ""),),
)
POOLED = Table(
    UNINDEXED.payloads,
    {
        text("hello world"): [1, 2, 4],
        text("world zebra"): [],
        text("world zebra", "text_any"): [1, 2, 4],
        text("zebra", "text_any"): [],
        phrase("hello world"): [1],
        phrase("hello zebra"): [],
        must_not(field("t", "match { text: 'hello' }")): [3, 5],
        text(""): [],
        must(field("t", "match { keyword: 'helloworld' }")): [3],
        must(field("t", "match { keyword: 'hello world' }")): [],
    },
    required=index(PHRASES),
)
NO_PHRASES = Table(
    UNINDEXED.payloads,
    {phrase("hello world"): [], text("hello world"): [1, 2, 4], phrase("hello"): []},
    required=index("lowercase: true"),
)

STOPWORDS = Table(
    *rows(
        [{"t": "xx yy"}, {"t": "xx the yy"}, {"t": "xx zz yy"}, {"t": "The fox"}, {"t": "the"}, {"t": "und ODER fox"}],
        {
            text("the fox"): "FFFTFT",
            phrase("xx the yy"): "TTFFFF",
            phrase("xx yy"): "TTFFFF",
            text("the"): "FFFFFF",
            text("the", "text_any"): "FFFFFF",
            text("und fox"): "FFFTFT",
        },
    ),
    required=index(f"{PHRASES} stopwords {{ languages: 'DE' custom: ['The', 'the'] }}"),
)
CASE_KEPT = Table(
    *rows(
        [{"t": "Hello"}, {"t": "hello"}, {"t": "CAFÉ"}, {"t": "CAFE"}],
        {text("Hello"): "TFFF", text("hello"): "FTFF", text("CAFE"): "FFTT", text("CAFÉ"): "FFTT"},
    ),
    required=index("lowercase: false ascii_folding: true"),
)
STEMMED = Table(
    *rows(
        [{"t": "running"}, {"t": "he runs"}, {"t": "ran"}, {"t": "stopping"}],
        {text("run"): "TTFF", text("RUNS"): "TTFF", text("ran"): "FFTF", text("stop"): "FFFT"},
    ),
    required=index("stemmer { snowball { language: 'en' } } max_token_len: 4"),
)
LENGTHS = Table(
    *rows(
        [{"t": "a bb ccc dddd"}],
        {text("a"): "F", text("bb"): "T", text("ccc"): "T", text("dddd"): "F", text("a bb"): "T", text("a dddd"): "F"},
    ),
    required=index("min_token_len: 2 max_token_len: 3 stemmer { disabled {} }"),
)

PREFIX_ROWS: list[Json] = [
    {"t": "hello world"},
    {"t": "hell world"},
    {"t": "hello brave world"},
    {"t": "world hello"},
]
PREFIXES = Table(
    *rows(
        PREFIX_ROWS,
        {
            text("hel"): "TTTT",
            text("hel wor"): "TTTT",
            text("hello wor"): "TFTT",
            text("hell world"): "TTTT",
            text("hello w"): "TFTT",
            phrase("hel"): "TTTT",
            phrase("hel wor"): "FFFF",
            phrase("hello wor"): "TFFF",
            phrase("hell world"): "FTFF",
            phrase("hello w"): "TFFF",
        },
    ),
    required=index(PHRASES, "Prefix"),
)
CUT_PREFIXES = Table(
    *rows(PREFIX_ROWS, {text("h"): "FFFF", text("he"): "TTTT", text("helloz"): "TTTT", text("helz"): "FFFF"}),
    required=index("min_token_len: 2 max_token_len: 4", "Prefix"),
)

CODE = Table(
    *rows(
        [
            {"t": "getHTTPResponse now"},
            {"t": "get_HTTPResponse_v2"},
            {"t": "snake_case_name"},
            {"t": "__init__ userIDs"},
            {"t": "foo.bar::baz(1, x2)"},
            {"t": "1_000 0xFF_aB"},
        ],
        {
            text("get_http_response"): "TTFFFF",
            text("GetHttp"): "TTFFFF",
            text("gethttpresponse"): "TFFFFF",
            text("gethttpresponsev2"): "FTFFFF",
            text("gethttp"): "FFFFFF",
            phrase("response now"): "TFFFFF",
            phrase("getHTTPResponse now"): "TFFFFF",
            phrase("gethttpresponse now"): "FFFFFF",
            text("snakecasename"): "FFTFFF",
            text("init ids user"): "FFFTFF",
            text("foo bar baz 1 x2"): "FFFFTF",
            text("1000"): "FFFFFT",
            text("0xffab"): "FFFFFT",
        },
    ),
    required=index(PHRASES, "Code"),
)

DOCUMENTS: list[Json] = [
    {"t": "Hello World"},
    {"t": "hello, big world!"},
    {"t": "helloworld"},
    {"t": "café au lait"},
    {"t": "foo-bar_baz"},
    {"t": ["alpha beta", "gamma"]},
    {"t": ["beta gamma"]},
    {"t": ""},
    {"t": 5},
]
QUERIES = [
    text("hello"),
    text("hel"),
    text("cafe"),
    text("foo_bar"),
    text("gamma alpha"),
    text("beta gamma"),
    phrase("beta gamma"),
    text(""),
    text("!!!"),
]
_ANSWERS: dict[str, list[list[int]]] = {
    "": [[1, 2], [], [], [5], [], [7], [7], [], []],
    "Word": [[1, 2], [], [], [5], [6], [6, 7], [7], [], []],
    "Whitespace": [[1], [], [], [], [6], [6, 7], [7], [], []],
    "Prefix": [[1, 2, 3], [1, 2, 3], [], [5], [6], [6, 7], [7], [], []],
    "Multilingual": [[1, 2], [], [4], [5], [6], [6, 7], [7], [], []],
}
MATRIX = {
    f"analysers {tokenizer}": Table(
        dict(enumerate(DOCUMENTS, 1)),
        dict(zip(QUERIES, answers, strict=True)),
        required=index(PHRASES, tokenizer) if tokenizer else (),
    )
    for tokenizer, answers in _ANSWERS.items()
}

IN_ELEMENTS: dict[int, Json] = {1: {"o": [{"t": "alpha"}, {"t": "gamma"}]}, 2: {"o": [{"t": ["alpha", "beta"]}]}}
ACROSS = text("alpha gamma", key="o[].t")
WITHIN = text("alpha beta", key="o[].t")
ELEMENT = nested("o", text("alpha beta"))
ELEMENTS = {
    "texts of elements unindexed": Table(IN_ELEMENTS, {ACROSS: [], WITHIN: [], ELEMENT: []}),
    "texts of elements": Table(IN_ELEMENTS, {ACROSS: [1], WITHIN: [2], ELEMENT: []}, required=(("o[].t", "Text", ""),)),
    "texts per element": Table(
        IN_ELEMENTS,
        {ACROSS: [], WITHIN: [2], ELEMENT: [2]},
        required=(("o[].t", "Text", "tokenizer: Word nested: 'o'"),),
    ),
    "scored texts per element": Table(
        IN_ELEMENTS,
        {ACROSS: [], WITHIN: [2], ELEMENT: [2]},
        required=(("o[].t", "Text", "tokenizer: Word scoring {} nested: 'o'"),),
    ),
}

TABLES: dict[str, Table] = {
    "texts": UNINDEXED,
    "indexed texts": POOLED,
    "index without phrases": NO_PHRASES,
    "stopwords": STOPWORDS,
    "case": CASE_KEPT,
    "stems": STEMMED,
    "lengths": LENGTHS,
    "prefixes": PREFIXES,
    "cut prefixes": CUT_PREFIXES,
    "code": CODE,
    **MATRIX,
    **ELEMENTS,
}
