"""A page of points: in id order, or in that of a field."""

from __future__ import annotations

from pointstore.core import interruption
from pointstore.core.query import OrderBy, Page, Record, ScrollRequest
from pointstore.engine.filtering import matching_slots
from pointstore.engine.ordering import ordered
from pointstore.engine.paging import places_in_order, record_of, records_of
from pointstore.engine.view import View

_RECORDS_A_CHECK = 32


def page(view: View, request: ScrollRequest) -> Page:
    """Return the page that a request asks for.

    Raises:
        WrongInputError: the field has no index that could order.
    """
    if request.order_by is not None:
        return Page(_ordered_records(view, request, request.order_by), None)
    matching = None if request.filter is None else matching_slots(view, request.filter)
    places, following = places_in_order(view, matching, request.offset, request.limit)
    return Page(records_of(view, places, request.selectors), following)


def _ordered_records(view: View, request: ScrollRequest, order: OrderBy) -> list[Record]:
    selected = view.generation.live if request.filter is None else matching_slots(view, request.filter)
    pairs = ordered(
        view,
        order.key,
        descending=order.descending,
        start_from=order.start_from,
        selected=selected,
        limit=request.limit,
    )
    return [
        record_of(view, pair.point_id, pair.slot, request.selectors)._replace(order_value=pair.value)
        for pair in interruption.checked(pairs, _RECORDS_A_CHECK)
    ]
