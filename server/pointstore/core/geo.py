"""Geography: which points are in a box, a circle or a polygon.

Tests take coordinates as NumPy arrays of one shape, or as plain numbers, and return a boolean array of that shape, or
one boolean. Longitude comes first. Coordinates outside the legal ranges are compared as they are. Sections are those of
specification part 2.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import assert_never

import numpy as np
import numpy.typing as npt
from shapely import Polygon, contains_xy, intersects_xy, prepare

from pointstore.core.filter import GeoBoundingBox, GeoPoint, GeoPolygon, GeoRadius, Ring

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius of the Earth."""

Degrees = npt.NDArray[np.float64] | float
"""Array of float64, or one number."""

Inside = npt.NDArray[np.bool_] | np.bool_ | bool
Tester = Callable[[Degrees, Degrees], Inside]
"""Longitudes and latitudes to which of them are inside."""

GeoCheck = GeoBoundingBox | GeoRadius | GeoPolygon


def tester(check: GeoCheck) -> Tester:
    """Return the test of a check, prepared for many points."""
    match check:
        case GeoBoundingBox():
            return partial(_in_box, check)
        case GeoRadius():
            return partial(_in_radius, check)
        case GeoPolygon(exterior, interiors):
            return partial(_in_polygon, _prepared(exterior), tuple(_prepared(ring) for ring in interiors))
        case _:
            assert_never(check)


def distance_m(center: GeoPoint, lon: Degrees, lat: Degrees) -> npt.NDArray[np.float64] | np.float64:
    """Return great-circle distances from `center` in metres, by the haversine formula (5.9)."""
    phi, center_phi = np.radians(lat), np.radians(center.lat)
    half_phi = (phi - center_phi) / 2
    half_lambda = (np.radians(lon) - np.radians(center.lon)) / 2
    h = np.sin(half_phi) ** 2 + np.cos(center_phi) * np.cos(phi) * np.sin(half_lambda) ** 2
    # Rounding takes antipodes a little beyond 1, where there is no arc sine.
    distances: npt.NDArray[np.float64] = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(h, 1.0)))
    return distances


def _in_box(box: GeoBoundingBox, lon: Degrees, lat: Degrees) -> Inside:
    """Strictly inside (5.8.1)."""
    west, east = box.top_left.lon, box.bottom_right.lon
    # Operators that work alike on arrays and on booleans; `and` and `or` do not.
    between = (lon > west) | (lon < east) if west > east else (lon > west) & (lon < east)
    return between & (lat > box.bottom_right.lat) & (lat < box.top_left.lat)


def _in_radius(circle: GeoRadius, lon: Degrees, lat: Degrees) -> Inside:
    """Strictly nearer than the radius (5.9)."""
    return distance_m(circle.center, lon, lat) < circle.radius


def _in_polygon(exterior: Polygon, interiors: tuple[Polygon, ...], lon: Degrees, lat: Degrees) -> Inside:
    """Strictly inside the exterior, and neither in nor on an interior (5.10).

    The predicates of GEOS are exact; a ring that crosses itself follows the even-odd rule. Rings are tested one by
    one, so that holes may overlap each other and the exterior.
    """
    matching: Inside = contains_xy(exterior, lon, lat)
    for ring in interiors:
        matching = matching & ~intersects_xy(ring, lon, lat)
    return matching


def _prepared(ring: Ring) -> Polygon:
    polygon = Polygon([(point.lon, point.lat) for point in ring])
    prepare(polygon)
    return polygon
