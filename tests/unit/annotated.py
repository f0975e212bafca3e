"""Functions whose annotations are text, as `from __future__ import annotations` leaves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from tunedeco import space

if TYPE_CHECKING:
    import keras

Rate = Annotated[float, space.Linear(0, 0.5, 6, group="dense")]


def build(
    other: keras.Model = None,
    *,
    units: Annotated[int, space.Range(8, 64, 8, group="dense")] = 32,
    rate: Rate = 0.1,
) -> tuple[keras.Model, int, float]:
    return other, units, rate


def wrong(units: Annotated[int, space.Range(8, 64, 8), nowhere] = 32) -> int:  # noqa: F821
    return units


def reversed_ends(units: Annotated[int, space.Range(64, 8)] = 32) -> int:
    return units
