"""Declarative field validation: one walker over messages, driven by the tables in `rules.py`.

It runs before conversion and collects every violation. For each message type it works out once which fields can matter
at all, so that a valid request costs a few presence tests; paths are put together only for what is wrong. It knows
neither collections nor the domain types.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pointstore.core.errors import ValidationError
from pointstore.wire.rules import FIELDS, MESSAGES, NOT_ENTERED, vector_name_violation
from pointstore.wire.vector_rules import legacy_multi_violation, multi_violation, sparse_violation
from qdrant_grpc import collections_pb2, points_pb2, qdrant_pb2, snapshots_service_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.descriptor import Descriptor, FieldDescriptor
    from google.protobuf.message import Message

    from pointstore.wire.rules import FieldRule

    Violations = list[tuple[str, str]]
    Check = Callable[[Any], Violations | None]
    """A message to what is wrong below it, paths relative to it; None or an empty list when all is well."""

__all__ = [
    "legacy_multi_violation",
    "multi_violation",
    "sparse_violation",
    "validate",
    "vector_name_violation",
    "violations",
]


def validate(message: Message) -> None:
    """Check all field rules of a request.

    Raises:
        ValidationError: with every violation.

    """
    found = violations(message)
    if found:
        raise ValidationError(found)


def violations(message: Message) -> Violations:
    """Return the pairs of path and reason for all that is wrong with a message; empty when nothing is."""
    return _PLANS[message.DESCRIPTOR.full_name].run(message)


class _Plan:
    """The checks of one message type; filled after creation because message types are recursive."""

    __slots__ = ("checks", "rule")

    def __init__(self) -> None:
        self.checks: tuple[Check, ...] = ()
        self.rule: Check | None = None

    def run(self, message: Any) -> Violations:  # noqa: ANN401  any generated message
        found: Violations = []
        for check in self.checks:
            wrong = check(message)
            if wrong:
                found += wrong
        if self.rule is not None:
            wrong = self.rule(message)
            if wrong:
                found += wrong
        return found


_PLANS: dict[str, _Plan] = {}


def _plan(descriptor: Descriptor) -> _Plan:
    known = _PLANS.get(descriptor.full_name)
    if known is not None:
        return known
    plan = _PLANS[descriptor.full_name] = _Plan()
    checks: list[Check] = []
    members: dict[str, dict[str, _Plan]] = {}
    for field in descriptor.fields:
        rule = FIELDS.get((descriptor.full_name, field.name))
        if rule is not None:
            checks.append(_value_check(field, rule))
        below = field.message_type
        if below is None or (descriptor.full_name, field.name) in NOT_ENTERED or not _matters(below, set()):
            continue
        if _label(field) != field.name:
            members.setdefault(_label(field), {})[field.name] = _plan(below)
        else:
            checks.append(_message_check(field, below))
    checks += [_oneof_check(oneof, plans) for oneof, plans in members.items()]
    plan.rule = MESSAGES.get(descriptor.full_name)
    plan.checks = tuple(checks)
    return plan


def _matters(descriptor: Descriptor, seen: set[str]) -> bool:
    """Whether any rule applies to a message type or to one reachable from it."""
    name = descriptor.full_name
    if name in MESSAGES:
        return True
    if name in seen:
        return False
    seen.add(name)
    return any(
        (name, field.name) in FIELDS
        or (
            field.message_type is not None
            and (name, field.name) not in NOT_ENTERED
            and _matters(field.message_type, seen)
        )
        for field in descriptor.fields
    )


def _value_check(field: FieldDescriptor, rule: FieldRule) -> Check:
    name, label = field.name, _label(field)
    presence = field.has_presence

    def check(message: Any) -> Violations | None:  # noqa: ANN401
        if presence and not message.HasField(name):
            return None
        reason = rule(getattr(message, name))
        return None if reason is None else [(label, reason)]

    return check


def _message_check(field: FieldDescriptor, below: Descriptor) -> Check:
    name = field.name
    if field.is_repeated:
        if below.GetOptions().map_entry:
            value = below.fields_by_name["value"].message_type
            assert value is not None
            return _map_check(name, _plan(value))
        return _list_check(name, _plan(below))
    plan = _plan(below)

    def check(message: Any) -> Violations | None:  # noqa: ANN401  any message
        if not message.HasField(name):
            return None
        wrong = plan.run(getattr(message, name))
        return [(f"{name}.{path}", reason) for path, reason in wrong] if wrong else None

    return check


def _oneof_check(oneof: str, plans: dict[str, _Plan]) -> Check:
    """One look at which member is set, however many there are."""

    def check(message: Any) -> Violations | None:  # noqa: ANN401  any message
        member = message.WhichOneof(oneof)
        plan = plans.get(member)
        if plan is None:
            return None
        wrong = plan.run(getattr(message, member))
        return [(f"{oneof}.{path}", reason) for path, reason in wrong] if wrong else None

    return check


def _list_check(name: str, plan: _Plan) -> Check:
    def check(message: Any) -> Violations | None:  # noqa: ANN401  any message
        found: Violations = []
        for index, element in enumerate(getattr(message, name)):
            wrong = plan.run(element)
            if wrong:
                found += [(f"{name}[{index}].{path}", reason) for path, reason in wrong]
        return found

    return check


def _map_check(name: str, plan: _Plan) -> Check:
    def check(message: Any) -> Violations | None:  # noqa: ANN401  any message
        for value in getattr(message, name).values():
            wrong = plan.run(value)
            if wrong:
                return [(f"{name}.[].{path}", reason) for path, reason in wrong]
        return None

    return check


def _label(field: FieldDescriptor) -> str:
    """Name of a field in a path: members of a real oneof go by the oneof's name."""
    oneof = field.containing_oneof
    if oneof is None or oneof.name == f"_{field.name}":  # proto3 `optional` is a oneof of one, `_name`
        return field.name
    return oneof.name


# All at once: filled on demand, a plan could be seen half made by another thread.
for _file in (collections_pb2, points_pb2, snapshots_service_pb2, qdrant_pb2):
    for _message in _file.DESCRIPTOR.message_types_by_name.values():
        _plan(_message)
