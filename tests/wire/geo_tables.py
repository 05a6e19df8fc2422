"""The worked examples of boxes, circles and polygons (specification part 2, 2 to 8 and 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.wire.filter_tables import Table, field, must, rows

if TYPE_CHECKING:
    from pointstore.core.schema import Json


def place(lon: Json, lat: Json) -> dict[str, Json]:
    """Return a payload with a place at `g`."""
    return {"g": {"lon": lon, "lat": lat}}


def box(west: float, north: float, east: float, south: float) -> str:
    """Return a filter for the places in a box."""
    corners = f"top_left {{ lon: {west} lat: {north} }} bottom_right {{ lon: {east} lat: {south} }}"
    return must(field("g", f"geo_bounding_box {{ {corners} }}"))


def circle(lon: float, lat: float, radius_m: float) -> str:
    """Return a filter for the places around another one."""
    return must(field("g", f"geo_radius {{ center {{ lon: {lon} lat: {lat} }} radius: {radius_m} }}"))


def ring(*corners: tuple[float, float]) -> str:
    """Return the points of a closed line."""
    return " ".join(f"points {{ lon: {lon} lat: {lat} }}" for lon, lat in (*corners, corners[0]))


SQUARE = ring((0, 0), (10, 0), (10, 10), (0, 10))
HOLE = ring((4, 4), (6, 4), (6, 6), (4, 6))
STRIP = ring((170, -10), (-170, -10), (-170, 10), (170, 10))
GEO_INDEXES = (("g", "Geo", ""), ("g", "Geo", "enable_hnsw: false"), ("g", "Keyword", ""))
GEO = Table(
    *rows(
        [
            place(5, 5),
            place(0, 0),
            place(10, 10),
            place(5, 10),
            place(5, 0),
            place(-5, 5),
            place(179, 0),
            place(-179, 0.0),
            place(180, 0),
            place(-180, 0),
            {"g": [{"lon": 50, "lat": 50}, {"lon": 2, "lat": 2, "more": 1}]},
            {"g": {"lon": "5", "lat": 5}},
            {"g": [5, 5]},
            {"g": {"lon": 5}},
            place(4, 5),
            place(0, 5),
            {},
            place(0, 90),
        ],
        {
            box(0, 10, 10, 0): "TFFFFFFFFFTFFFTFFF",
            box(170, 10, -170, -10): "FFFFFFTTTTFFFFFFFF",
            box(-180, 90, 180, -90): "TTTTTTTTFFTFFFTTFF",
            box(0, 0, 10, 10): "FFFFFFFFFFFFFFFFFF",
            box(5, 10, 5, 0): "FFFFFFFFFFFFFFFFFF",
            circle(179.5, 0, 200_000): "FFFFFFTTTTFFFFFFFF",
            circle(5, 5, 0): "FFFFFFFFFFFFFFFFFF",
            circle(5, 5, -1): "FFFFFFFFFFFFFFFFFF",
            circle(5, 5, 1): "TFFFFFFFFFFFFFFFFF",
            circle(5, 5, 30_000_000): "TTTTTTTTTTTFFFTTFT",
            must(field("g", f"geo_polygon {{ exterior {{ {SQUARE} }} interiors {{ {HOLE} }} }}")): "FFFFFFFFFFTFFFFFFF",
            must(field("g", f"geo_polygon {{ exterior {{ {SQUARE} }} }}")): "TFFFFFFFFFTFFFTFFF",
            must(field("g", f"geo_polygon {{ exterior {{ {STRIP} }} }}")): "TTFFTTFFFFTFFFTTFF",
        },
    ),
    indexes=GEO_INDEXES,
)
OUT_OF_RANGE: dict[int, Json] = {1: place(5, 5), 2: place(200, 5), 3: place(5, 95)}
ANYWHERE = circle(0, 0, 30_000_000)
NUMERIC_PLACES = Table(OUT_OF_RANGE, {ANYWHERE: [1, 2, 3]}, indexes=(("g", "Keyword", ""),))
LEGAL_PLACES = Table(OUT_OF_RANGE, {ANYWHERE: [1]}, required=(("g", "Geo", ""),))

TABLES: dict[str, Table] = {
    "places": GEO,
    "places out of range": NUMERIC_PLACES,
    "legal places": LEGAL_PLACES,
}
