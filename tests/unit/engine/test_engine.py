"""Tests of the catalog of collections and aliases (specification part 1, 7.2, 7.7, 7.8)."""

from __future__ import annotations

import multiprocessing
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pointstore.core.catalog import Alias, CollectionChange, CreateAlias, DeleteAlias, RenameAlias
from pointstore.core.errors import AlreadyExistsError, NotFoundError, ReadOnlyError, RequestError, WrongInputError
from pointstore.core.schema import CollectionConfig, Distance, SparseVectorParams, VectorParams
from pointstore.engine.strict import Searches
from pointstore.storage.poison import MARKS
from tests.building import contents, dense, running_engine, upsert, vector_config, write

if TYPE_CHECKING:
    from pointstore.engine.engine import Engine


def _directories(engine: Engine) -> list[str]:
    return sorted(path.name for path in engine._root.iterdir())


def test_a_created_collection_is_usable_at_once_and_after_a_restart(tmp_path: Path) -> None:
    with running_engine(tmp_path) as engine:
        peer_id = engine.peer_id
        engine.create_collection("b", CollectionConfig())
        engine.create_collection("a", vector_config())
        write(engine.collection("a"), upsert((1, {"": dense(1, 2)}, {"n": 1})))
        assert engine.collection_names() == ["a", "b"]
    with running_engine(tmp_path) as engine:
        assert engine.peer_id == peer_id
        assert engine.collection_names() == ["a", "b"]
        assert contents(engine.collection("a")) == {"1": ({"n": 1}, {"": (1.0, 2.0)})}
        assert write(engine.collection("a"), upsert((2, {}, {})))[0].seq == 2


def test_names_are_used_once(engine: Engine) -> None:
    engine.create_collection("a", CollectionConfig())
    with pytest.raises(AlreadyExistsError) as caught:
        engine.create_collection("a", CollectionConfig())
    assert caught.value.message == "Wrong input: Collection `a` already exists!"
    engine.update_aliases([CreateAlias("a", "x")])
    with pytest.raises(WrongInputError) as error:
        engine.create_collection("x", CollectionConfig())
    text = "Wrong input: Can't create collection with name x. Alias with the same name already exists"
    assert error.value.message == text
    assert not isinstance(error.value, AlreadyExistsError)
    engine.create_collection("A", CollectionConfig())
    assert len(_directories(engine)) == 2


def test_a_refused_collection_leaves_no_directory(engine: Engine) -> None:
    both = CollectionConfig(vectors={"v": VectorParams(2, Distance.DOT)}, sparse_vectors={"v": SparseVectorParams()})
    with pytest.raises(WrongInputError):
        engine.create_collection("a", both)
    assert (engine.collection_names(), _directories(engine)) == ([], [])


@pytest.mark.parametrize("committed", [False, True])
def test_a_collection_whose_creation_ends_in_doubt_is_whole_or_not_there(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, *, committed: bool
) -> None:
    """The error of another process may be noticed before the commit, or only after it."""

    def mark(*_: object) -> None:
        if _directories(engine):
            MARKS.add(engine.data_dir)
            if not committed:
                text = "the disk is gone"
                raise ReadOnlyError(text)

    monkeypatch.setattr("pointstore.engine.engine._check_free", mark)
    try:
        with pytest.raises(ReadOnlyError):
            engine.create_collection("a", vector_config())
    finally:
        MARKS.clear()
    assert (engine.collection_names(), len(_directories(engine))) == (["a"] * committed, committed)
    if committed:
        assert contents(engine.collection("a")) == {}


def test_what_is_not_there(engine: Engine) -> None:
    text = "Not found: Collection `nope` doesn't exist!"
    for call in (
        lambda: engine.collection("nope"),
        lambda: engine.query("nope", Searches([])),
        lambda: engine.update_collection("nope", CollectionChange()),
    ):
        with pytest.raises(NotFoundError) as caught:
            call()
        assert caught.value.message == text
    assert not engine.exists("nope")
    assert not engine.drop_collection("nope")
    assert engine.aliases("nope") == engine.aliases() == []


def test_dropping_takes_aliases_along_and_frees_the_directory(engine: Engine) -> None:
    engine.create_collection("a", vector_config())
    engine.create_collection("b", vector_config())
    write(engine.collection("a"), upsert((1, {"": dense(1, 2)}, {})))
    engine.update_aliases([CreateAlias("a", "x"), CreateAlias("a", "y"), CreateAlias("b", "z")])
    assert not engine.drop_collection("x"), "an alias is not a collection to drop"
    assert engine.drop_collection("a")
    assert engine.aliases() == [Alias("z", "b")]
    assert not engine.exists("x")
    assert len(_directories(engine)) == 1
    engine.create_collection("a", vector_config(3))
    assert contents(engine.collection("a")) == {}
    assert write(engine.collection("a"), upsert((1, {"": dense(1, 2, 3)}, {})))[0].seq == 1


def test_requests_on_a_dropped_collection_end_in_peace(engine: Engine) -> None:
    engine.create_collection("a", vector_config())
    collection = engine.collection("a")
    write(collection, upsert((1, {"": dense(1, 2)}, {})))
    with collection.view() as view:
        engine.drop_collection("a")
        assert view.generation.head.points == 1
        assert view.vector("", 0) == dense(1, 2)
    with pytest.raises(NotFoundError):
        engine.collection("a")


def test_alias_actions(engine: Engine) -> None:
    for name in ("a", "b"):
        engine.create_collection(name, CollectionConfig())
    engine.update_aliases([])
    engine.update_aliases([CreateAlias("a", "x"), CreateAlias("b", "y"), RenameAlias("x", "z"), DeleteAlias("none")])
    assert engine.aliases() == [Alias("y", "b"), Alias("z", "a")]
    assert engine.aliases("a") == [Alias("z", "a")]
    assert engine.aliases("z") == []
    # Re-pointed and overwritten silently.
    engine.update_aliases([CreateAlias("b", "z")])
    assert engine.aliases("b") == [Alias("y", "b"), Alias("z", "b")]
    engine.update_aliases([CreateAlias("a", "y"), RenameAlias("y", "z")])
    assert engine.aliases() == [Alias("z", "a")]
    engine.update_aliases([DeleteAlias("z"), CreateAlias("b", "z")])
    assert engine.aliases() == [Alias("z", "b")]
    engine.update_aliases([RenameAlias("z", "z")])
    assert engine.aliases() == [Alias("z", "b")]


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (CreateAlias("nope", "x"), "Not found: Collection `nope` doesn't exist!"),
        (CreateAlias("k", "x"), "Not found: Collection `k` doesn't exist!"),
        (CreateAlias("a", "b"), "Wrong input: Collection `b` already exists!"),
        (CreateAlias("a", "a"), "Wrong input: Collection `a` already exists!"),
        (RenameAlias("nope", "x"), "Not found: Alias nope does not exists!"),
    ],
)
def test_a_refused_action_undoes_the_whole_list(engine: Engine, action: CreateAlias | RenameAlias, text: str) -> None:
    for name in ("a", "b"):
        engine.create_collection(name, CollectionConfig())
    engine.update_aliases([CreateAlias("a", "k")])
    with pytest.raises(RequestError) as caught:
        engine.update_aliases([CreateAlias("b", "new"), DeleteAlias("k"), CreateAlias("a", "k"), action])
    assert caught.value.message == text
    assert isinstance(caught.value, AlreadyExistsError) == ("already exists" in text)
    assert engine.aliases() == [Alias("k", "a")]


def test_an_alias_works_like_the_name(engine: Engine) -> None:
    engine.create_collection("a", vector_config())
    engine.update_aliases([CreateAlias("a", "x")])
    assert engine.collection("x") is engine.collection("a")
    assert engine.collection("x").name == "a"
    assert engine.exists("x")
    engine.update_collection("x", CollectionChange(metadata={"k": 1}))
    assert engine.collection("a").config().metadata == {"k": 1}
    assert engine.query("x", Searches([])) == []
    assert engine.collection_names() == ["a"]


def test_a_renamed_alias_hides_a_collection_except_from_dropping_and_listing(engine: Engine) -> None:
    for name in ("a", "b"):
        engine.create_collection(name, CollectionConfig(metadata={"name": name}))
    engine.update_aliases([CreateAlias("a", "x"), RenameAlias("x", "b")])
    assert engine.collection("b").name == "a"
    assert engine.collection_names() == ["a", "b"]
    assert engine.drop_collection("b")
    assert engine.collection("b").name == "a"
    assert engine.collection_names() == ["a"]


def test_opening_a_collection_that_is_being_dropped(engine: Engine) -> None:
    """Its directory may vanish between the look at the names and the opening."""
    engine.create_collection("a", CollectionConfig())
    shutil.rmtree(engine._root / _directories(engine)[0])
    with pytest.raises(NotFoundError):
        engine.collection("a")
    assert _directories(engine) == []


def test_many_threads_open_one_collection_once(engine: Engine) -> None:
    engine.create_collection("a", vector_config())
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(engine.collection("a"))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert len(set(map(id, found))) == 1


def _create_and_drop(path: str, prefix: str, rounds: int) -> None:
    with running_engine(Path(path)) as engine:
        for number in range(rounds):
            for name in ("shared", f"{prefix}{number}"):
                try:
                    engine.create_collection(name, vector_config())
                except AlreadyExistsError:
                    assert name == "shared"
            try:
                write(engine.collection("shared"), upsert((number, {}, {"by": prefix})))
                contents(engine.collection("shared"))
            except NotFoundError:
                pass
            engine.drop_collection("shared")


def test_processes_create_use_and_drop_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_create_and_drop, args=(str(tmp_path), prefix, 12)) for prefix in "pq"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    with running_engine(tmp_path) as engine:
        assert engine.collection_names() == sorted(f"{prefix}{number}" for prefix in "pq" for number in range(12))
        assert all(engine.collection(name).count(None) == 0 for name in engine.collection_names())
        assert len(_directories(engine)) == 24
