"""A fixed program on an engine, the same every time, and what must be there after each of its steps.

It goes through everything that writes: collections, points, aliases, seals, index builds, merges and removals, the
background work by the optimizer's own code.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pointstore.config import OptimizerSettings, Settings
from pointstore.core.catalog import CreateAlias, DeleteAlias, RenameAlias
from pointstore.core.schema import CollectionConfig, Distance, HnswConfig, OptimizersConfig, VectorParams
from pointstore.core.update import DeletePoints
from pointstore.engine.engine import Engine
from pointstore.engine.optimize import Optimizer
from tests.building import contents, dense, pids, upsert, write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

DIM: Final = 16
MAP_SIZE: Final = 64 << 20
_SETTINGS: Final = Settings(optimizer=OptimizerSettings(seal_bytes=1 << 10, tail_bytes=1 << 10, threads=1))
_CONFIG: Final = CollectionConfig(
    vectors={"": VectorParams(DIM, Distance.EUCLID)},
    single_vector=True,
    hnsw_config=HnswConfig(m=8, ef_construct=16),
    optimizers_config=OptimizersConfig(indexing_threshold=1),
)


@dataclass
class Model:
    """What an engine holds: points of collections by name, collections of aliases."""

    collections: dict[str, dict[str, Any]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)


class Subject:
    """An engine with an optimizer that is driven by hand."""

    def __init__(self, data_dir: Path) -> None:
        self.engine = Engine(data_dir, map_size=MAP_SIZE, catalog_map_size=MAP_SIZE)
        self._optimizer = Optimizer(_SETTINGS, self.engine)

    def optimize(self) -> None:
        """Do the background work that is due."""
        for _ in range(4):
            self._optimizer.step()
            self._optimizer.wait()

    def observed(self) -> Model:
        """Read everything."""
        return Model(
            {name: contents(self.engine.collection(name)) for name in self.engine.collection_names()},
            {alias.alias: alias.collection for alias in self.engine.aliases()},
        )

    def close(self) -> None:
        """Let go of the files."""
        self._optimizer._builder_thread.shutdown()
        self.engine.close()


@dataclass(frozen=True)
class Step:
    """One call and its effect on the model."""

    name: str
    act: Callable[[Subject], object]
    effect: Callable[[Model], object] = lambda _: None

    def after(self, model: Model) -> Model:
        """Return the model as it is when the step has happened."""
        changed = copy.deepcopy(model)
        self.effect(changed)
        return changed


def _create(name: str) -> Step:
    return Step(
        f"create {name}",
        lambda subject: subject.engine.create_collection(name, _CONFIG),
        lambda model: model.collections.setdefault(name, {}),
    )


def _drop(name: str) -> Step:
    def effect(model: Model) -> None:
        del model.collections[name]
        model.aliases = {alias: target for alias, target in model.aliases.items() if target != name}

    return Step(f"drop {name}", lambda subject: subject.engine.drop_collection(name), effect)


def _upsert(name: str, ids: range, mark: int) -> Step:
    points = [(number, {"": dense(*_row(number, mark))}, {"mark": mark}) for number in ids]

    def effect(model: Model) -> None:
        stored = model.collections[name]
        stored.update({str(number): ({"mark": mark}, {"": _row(number, mark)}) for number in ids})

    return Step(
        f"upsert {mark} into {name}", lambda subject: write(subject.engine.collection(name), upsert(*points)), effect
    )


def _delete(name: str, ids: range) -> Step:
    def effect(model: Model) -> None:
        for number in ids:
            del model.collections[name][str(number)]

    return Step(
        f"deletion in {name}",
        lambda subject: write(subject.engine.collection(name), DeletePoints(pids(*ids))),
        effect,
    )


def _alias(action: CreateAlias | RenameAlias | DeleteAlias, aliases: dict[str, str]) -> Step:
    def effect(model: Model) -> None:
        model.aliases = dict(aliases)

    return Step(f"{action}", lambda subject: subject.engine.update_aliases([action]), effect)


def _row(number: int, mark: int) -> tuple[float, ...]:
    return tuple(float((number * 7 + mark * 3 + place * place) % 23 - 11) for place in range(DIM))


OPTIMIZE: Final = Step("optimize", Subject.optimize)
# However near each other the slots are.
RENEW: Final = Step("move points", lambda subject: subject.engine.collection("a").renew_slots(-1000))
STEPS: Final[Sequence[Step]] = (
    _create("a"),
    _upsert("a", range(40), 1),
    OPTIMIZE,
    _create("b"),
    _alias(CreateAlias("a", "one"), {"one": "a"}),
    _upsert("a", range(30, 70), 2),
    _delete("a", range(0, 30, 2)),
    OPTIMIZE,
    RENEW,
    _upsert("b", range(3), 3),
    _alias(RenameAlias("one", "two"), {"two": "a"}),
    _upsert("a", range(60, 110), 4),
    OPTIMIZE,
    _drop("b"),
    _alias(DeleteAlias("two"), {}),
    _delete("a", range(40, 60)),
)
