"""The Bayesian view of a lift. For display only: looked at all the time, it keeps no stated rate of error."""

from __future__ import annotations

import math
from typing import NamedTuple

from catalog_experiments.stats.distributions import normal_cdf, normal_density


class Posterior(NamedTuple):
    """What is believed of a lift after the data, under a normal prior.

    `chance_to_win` lies in [0, 1]. The losses are in the unit of the lift: what is given up on average by shipping the
    test variant although it is worse, and by keeping the control although it is worse.
    """

    mean: float
    standard_deviation: float
    chance_to_win: float
    loss_if_shipped: float
    loss_if_kept: float


def posterior(
    lift: float, standard_error: float, *, prior_mean: float = 0.0, prior_deviation: float = 0.3
) -> Posterior | None:
    """Return the posterior of a lift; None when the standard error is not positive.

    Args:
        lift: estimate, a fraction (0.12 is +12 %).
        standard_error: of the estimate, in the same unit.
        prior_mean: mean of the normal prior.
        prior_deviation: its standard deviation; infinity for a flat prior.

    Source: Gelman et al. (2013), Bayesian Data Analysis, section 2.5.

    >>> view = posterior(0.1, 0.05, prior_deviation=math.inf)
    >>> round(view.chance_to_win, 4), round(view.loss_if_shipped, 5)
    (0.9772, 0.00042)
    """
    if not standard_error > 0:
        return None
    data, prior = standard_error**-2, prior_deviation**-2
    mean = (lift * data + prior_mean * prior) / (data + prior)
    deviation = math.sqrt(1 / (data + prior))
    gain = mean * normal_cdf(mean / deviation) + deviation * normal_density(mean / deviation)
    return Posterior(mean, deviation, normal_cdf(mean / deviation), max(0.0, gain - mean), max(0.0, gain))
