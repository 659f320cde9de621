"""Many comparisons at once: adjusted p-values, in the order they were given."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values adjusted so that any false rejection at all has at most the level's chance; for decisions.

    Source: Holm (1979).

    >>> [round(p, 10) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    count = len(p_values)
    order = sorted(range(count), key=p_values.__getitem__)
    scaled = ((count - rank) * p_values[position] for rank, position in enumerate(order))
    return _in_place(order, list(accumulate(scaled, max)))


def benjamini_hochberg(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values adjusted so that the share of false rejections stays below the level; for exploration.

    Source: Benjamini and Hochberg (1995).

    >>> [round(p, 10) for p in benjamini_hochberg([0.01, 0.04, 0.03])]
    [0.03, 0.04, 0.04]
    """
    count = len(p_values)
    order = sorted(range(count), key=p_values.__getitem__, reverse=True)
    scaled = (count / (count - rank) * p_values[position] for rank, position in enumerate(order))
    return _in_place(order, list(accumulate(scaled, min)))


def _in_place(order: Sequence[int], adjusted: Sequence[float]) -> tuple[float, ...]:
    by_position = dict(zip(order, adjusted, strict=True))
    return tuple(min(1.0, by_position[position]) for position in range(len(order)))
