"""Tests of languages, stopwords and stemmers (specification part 2, 8.5 and 8.6)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from pointstore.core.errors import ConversionError
from pointstore.text.languages import (
    STEMMER_LANGUAGES,
    STOPWORD_LANGUAGES,
    effective_stopwords,
    language_stopwords,
    normalised_languages,
    stemmer,
    stemmer_language,
    stopword_language,
)

STOPWORD_CODES = [
    "ar",
    "az",
    "eu",
    "bn",
    "ca",
    "zh",
    "da",
    "nl",
    "en",
    "fi",
    "fr",
    "de",
    "el",
    "he",
    "hi-en",
    "hu",
    "id",
    "it",
    "jp",
    "kk",
    "ne",
    "no",
    "pt",
    "ro",
    "ru",
    "sl",
    "es",
    "sv",
    "tg",
    "tr",
]
STEMMER_CODES = [
    "ar",
    "hy",
    "da",
    "nl",
    "en",
    "fi",
    "fr",
    "de",
    "el",
    "hu",
    "it",
    "no",
    "pt",
    "ro",
    "ru",
    "es",
    "sv",
    "ta",
    "tr",
]


def test_every_language_has_a_short_name() -> None:
    assert tuple(map(stopword_language, STOPWORD_CODES)) == STOPWORD_LANGUAGES
    assert tuple(map(stemmer_language, STEMMER_CODES)) == STEMMER_LANGUAGES
    assert len(STOPWORD_LANGUAGES) == 30
    assert len(STEMMER_LANGUAGES) == 19


def test_names_have_no_case() -> None:
    assert stopword_language("EnGlish") == stopword_language("EN") == "english"
    assert stemmer_language("Tamil") == stemmer_language("TA") == "tamil"


@pytest.mark.parametrize("name", ["klingon", "", "ja", "tamil", " english"])
def test_languages_without_stopwords(name: str) -> None:
    with pytest.raises(ConversionError) as caught:
        stopword_language(name)
    assert caught.value.message == f"unknown language: {name}"


@pytest.mark.parametrize("name", ["klingon", "", "chinese", "jp"])
def test_languages_without_stemmer(name: str) -> None:
    with pytest.raises(ConversionError) as caught:
        stemmer_language(name)
    assert caught.value.message == f'Language "{name}" not found.'


def test_languages_are_kept_sorted_and_once() -> None:
    assert normalised_languages(["fr", "English", "FRENCH", "en", "ar"]) == ("arabic", "english", "french")


@pytest.mark.parametrize(
    ("language", "some"),
    [
        ("arabic", "من في"),
        ("azerbaijani", "və ilə"),
        ("basque", "eta"),
        ("bengali", "এবং"),
        ("catalan", "amb"),
        ("chinese", "的 和"),
        ("danish", "og"),
        ("dutch", "het"),
        ("english", "the a i you of with is have should and"),
        ("finnish", "ja"),
        ("french", "le les"),
        ("german", "und der"),
        ("greek", "και"),
        ("hebrew", "של"),
        ("hinglish", "the hai nahi"),
        ("hungarian", "és"),
        ("indonesian", "yang"),
        ("italian", "della"),
        ("japanese", "これ の"),
        ("kazakh", "және"),
        ("nepali", "र पनि"),
        ("norwegian", "ikke"),
        ("portuguese", "não"),
        ("romanian", "și şi"),
        ("russian", "не"),
        ("slovene", "in"),
        ("spanish", "el"),
        ("swedish", "och"),
        ("tajik", "ва"),
        ("turkish", "ve"),
    ],
)
def test_stopwords(language: str, some: str) -> None:
    found = language_stopwords(language)
    assert set(some.split()) <= found
    assert found == {word.lower() for word in found}


def test_english_stopwords_have_no_meaning_of_their_own() -> None:
    content = {
        "hello",
        "world",
        "test",
        "red",
        "fox",
        "cat",
        "sat",
        "page",
        "system",
        "home",
        "information",
        "computer",
        "state",
    }
    assert not content & language_stopwords("english")


def test_effective_stopwords_are_the_union() -> None:
    found = effective_stopwords(["english", "german"], ["Foo"], lowercase=True)
    assert found == language_stopwords("english") | language_stopwords("german") | {"foo"}
    assert effective_stopwords([], ["Foo"], lowercase=False) == {"Foo"}
    assert effective_stopwords([], [], lowercase=True) == frozenset()


@pytest.mark.parametrize(
    ("language", "forms"),
    [
        ("arabic", "الكتاب كتاب"),
        ("armenian", "համալսարանների համալսարաններ"),
        ("danish", "husene huse"),
        ("dutch", "lopend lopende"),
        ("english", "running runs run"),
        ("finnish", "talossa talo"),
        ("french", "chanter chantait"),
        ("german", "häuser haus"),
        ("greek", "γάτες γάτα"),
        ("hungarian", "házban ház"),
        ("italian", "gatti gatto"),
        ("norwegian", "husene huset"),
        ("portuguese", "gatos gato"),
        ("romanian", "pisicile pisica"),
        ("russian", "книги книга"),
        ("spanish", "gatos gato"),
        ("swedish", "bilarna bilar"),
        ("tamil", "புத்தகங்கள் புத்தகம்"),
        ("turkish", "evler ev"),
    ],
)
def test_stemmers(language: str, forms: str) -> None:
    assert len(set(map(stemmer(language), forms.split()))) == 1


def test_irregular_forms_stay_apart() -> None:
    stem = stemmer("english")
    assert stem("ran") != stem("run")


def test_threads_share_a_stemmer() -> None:
    stem = stemmer("english")
    words = [f"{'walk' * (number % 7 + 1)}ing" for number in range(2000)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(stem, words)) == [word.removesuffix("ing") for word in words]
