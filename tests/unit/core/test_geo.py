"""Boxes, circles and polygons (specification part 2, 5.8 to 5.10)."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointstore.core import geo
from pointstore.core.filter import GeoBoundingBox, GeoPoint, GeoPolygon, GeoRadius, Ring

BOX = GeoBoundingBox(GeoPoint(0, 10), GeoPoint(10, 0))
PACIFIC = GeoBoundingBox(GeoPoint(170, 10), GeoPoint(-170, -10))
WORLD = GeoBoundingBox(GeoPoint(-180, 90), GeoPoint(180, -90))


def ring(*corners: tuple[float, float]) -> Ring:
    """Close a ring."""
    return tuple(GeoPoint(lon, lat) for lon, lat in (*corners, corners[0]))


SQUARE = ring((0, 0), (10, 0), (10, 10), (0, 10))
HOLE = ring((4, 4), (6, 4), (6, 6), (4, 6))
BOW_TIE = ring((0, 0), (10, 10), (10, 0), (0, 10))

INSIDE = [
    (BOX, (5, 5), True),
    *((BOX, place, False) for place in ((0, 0), (10, 10), (5, 10), (5, 0), (0, 5), (10, 5), (-5, 5))),
    *((PACIFIC, place, True) for place in ((179, 0), (-179, 0), (180, 0), (-180, 0))),
    *((PACIFIC, place, False) for place in ((0, 0), (170, 0), (-170, 0), (179, 10))),
    *((WORLD, place, True) for place in ((0, 0), (179.9, 89.9), (-179.9, -89.9))),
    *((WORLD, place, False) for place in ((180, 0), (-180, 0), (0, 90), (0, -90))),
    (GeoBoundingBox(GeoPoint(0, 0), GeoPoint(10, 10)), (5, 5), False),
    (GeoBoundingBox(GeoPoint(5, 10), GeoPoint(5, 0)), (5, 5), False),
    *((GeoRadius(GeoPoint(179.5, 0), 200_000), place, True) for place in ((179, 0), (180, 0), (-180, 0), (-179, 0))),
    (GeoRadius(GeoPoint(179.5, 0), 200_000), (-178, 0), False),
    (GeoRadius(GeoPoint(0, 0), 0), (0, 0), False),
    (GeoRadius(GeoPoint(0, 0), -1), (0, 0), False),
    (GeoRadius(GeoPoint(0, 0), 2e7), (180, 0), False),
    (GeoRadius(GeoPoint(0, 0), 2.1e7), (180, 0), True),
    (GeoRadius(GeoPoint(13, 52), 2.1e7), (13 - 180, -52), True),
    (GeoPolygon(SQUARE, (HOLE,)), (2, 2), True),
    *((GeoPolygon(SQUARE, (HOLE,)), place, False) for place in ((5, 5), (4, 5), (4, 4), (0, 5), (10, 10))),
    (GeoPolygon(SQUARE[::-1], (HOLE[::-1],)), (2, 2), True),
    (GeoPolygon(SQUARE[::-1], (HOLE,)), (5, 5), False),
    # Twice the same hole is still a hole.
    (GeoPolygon(SQUARE, (HOLE, HOLE)), (5, 5), False),
    # A hole that reaches out adds nothing.
    (GeoPolygon(HOLE, (ring((5, 5), (20, 5), (20, 20), (5, 20)),)), (10, 10), False),
    (GeoPolygon(ring((170, -10), (-170, -10), (-170, 10), (170, 10))), (0, 0), True),
    (GeoPolygon(ring((170, -10), (-170, -10), (-170, 10), (170, 10))), (175, 0), False),
    *((GeoPolygon(BOW_TIE), place, inside) for place, inside in (((1, 5), True), ((5, 1), False), ((5, 5), False))),
    (GeoPolygon(ring((1, 1), (1, 1), (1, 1))), (1, 1), False),
]


@pytest.mark.parametrize(("check", "place", "expected"), INSIDE)
def test_inside(check: geo.GeoCheck, place: tuple[float, float], *, expected: bool) -> None:
    assert bool(geo.tester(check)(*place)) is expected


@pytest.mark.parametrize("check", [BOX, PACIFIC, GeoRadius(GeoPoint(179.5, 0), 5e6), GeoPolygon(SQUARE, (HOLE,))])
def test_arrays_agree_with_numbers(check: geo.GeoCheck) -> None:
    lon, lat = (grid.ravel() for grid in np.meshgrid(np.arange(-180.0, 181), np.arange(-15.0, 16)))
    test = geo.tester(check)
    by_array = np.asarray(test(lon, lat))
    assert by_array.dtype == np.bool_
    assert by_array.any()
    assert not by_array.all()
    assert by_array.tolist() == [bool(test(*place)) for place in zip(lon.tolist(), lat.tolist(), strict=True)]


@pytest.mark.parametrize(
    ("place", "metres"),
    [
        ((0, 0), 0),
        ((180, 0), geo.EARTH_RADIUS_M * np.pi),
        ((0, 90), geo.EARTH_RADIUS_M * np.pi / 2),
        ((1, 0), geo.EARTH_RADIUS_M * np.pi / 180),
    ],
)
def test_distance(place: tuple[float, float], metres: float) -> None:
    assert geo.distance_m(GeoPoint(0, 0), *place) == pytest.approx(metres, rel=1e-12)


def side(corners: Ring, lon: float, lat: float) -> int:
    """Return 1 inside a ring, 0 on it, -1 outside: even-odd rule in exact arithmetic."""
    x, y = Fraction(lon), Fraction(lat)
    crossings = 0
    for start, end in pairwise(corners):
        (x1, y1), (x2, y2) = ((Fraction(corner.lon), Fraction(corner.lat)) for corner in (start, end))
        turn = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)
        if turn == 0 and min(x1, x2) <= x <= max(x1, x2) and min(y1, y2) <= y <= max(y1, y2):
            return 0
        crossings += (y1 > y) != (y2 > y) and (turn > 0) == (y2 > y1)
    return 1 if crossings % 2 else -1


# Tenths are not exact in binary, and few enough that points fall on edges.
degrees = st.integers(-30, 30).map(lambda tenths: tenths / 10)
rings = st.lists(st.tuples(degrees, degrees), min_size=3, max_size=7).map(lambda corners: ring(*corners))


@given(rings, st.lists(rings, max_size=2), degrees, degrees)
def test_polygons_are_exact(exterior: Ring, interiors: list[Ring], lon: float, lat: float) -> None:
    expected = side(exterior, lon, lat) == 1 and all(side(hole, lon, lat) == -1 for hole in interiors)
    assert bool(geo.tester(GeoPolygon(exterior, tuple(interiors)))(lon, lat)) is expected
