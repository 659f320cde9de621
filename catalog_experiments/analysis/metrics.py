"""Every metric of one variant, from the moments of one segment's units: the right comparison for each kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from catalog_experiments.analysis.adjustment import adjusted
from catalog_experiments.analysis.comparison import MetricReport, compare, describe
from catalog_experiments.analysis.ratios import RATIOS, compare_ratio, compare_substitution, describe_ratio
from catalog_experiments.analysis.telemetry import Pool
from catalog_experiments.models import MomentMetric
from catalog_experiments.stats.looks import Look, shortfall_of_money, shortfall_of_rates
from catalog_experiments.stats.moments import VariantMoments

IMMATURE = "to date, immature: no visitor's window is over yet"

_PAID_WITHIN = {MomentMetric.HARM_REVENUE: MomentMetric.HARM}
"""Whether a unit paid, in the window of the metric; for all other money that is conversion."""

_RATES = frozenset({MomentMetric.CONVERSION, MomentMetric.TAKE_RATE, MomentMetric.HARM, MomentMetric.HARM_TAKE_RATE})


@dataclass(frozen=True, slots=True)
class MetricReader:
    """Reads the metrics of one pool against the control, in one kind of look.

    `returning` are the same units as far as they had bought before; with it the adjustment by past revenue is made.
    """

    pool: Pool
    control_key: str
    look: Look
    returning: Pool | None = None

    def reports(self, key: str, metrics: Sequence[str] = MomentMetric.values) -> Iterator[MetricReport]:
        """Yield a report of each metric that was counted for the variant, in the order given."""
        for metric in metrics:
            if (key, metric) in self.pool.to_date:
                yield self._control(metric) if key == self.control_key else self._test(metric, key)

    def _control(self, metric: str) -> MetricReport:
        own, _ = self.pool.pair(metric, self.control_key, self.control_key)
        shortfall = self._shortfall(metric, self.control_key)
        if metric in RATIOS:
            return describe_ratio(metric, own, self.look, shortfall)
        if metric == MomentMetric.CANNIBALIZATION:
            return MetricReport(metric, own.n, None, is_mature=not shortfall, reason=shortfall)
        return describe(metric, own.outcome, shortfall)

    def _test(self, metric: str, key: str) -> MetricReport:
        pair, shortfall = self.pool.pair(metric, key, self.control_key), self._shortfall(metric, key)
        if metric in RATIOS:
            return compare_ratio(metric, *pair, self.look, shortfall)
        if metric == MomentMetric.CANNIBALIZATION:
            return compare_substitution(*pair, self.look, shortfall)
        report = compare(metric, pair[0].outcome, pair[1].outcome, self.look, shortfall)
        if self.returning is None or shortfall:
            return report
        past = self.returning.pair(metric, key, self.control_key)
        return replace(report, adjusted=adjusted(metric, pair, past, self.look))

    def _shortfall(self, metric: str, key: str) -> str:
        if not self.pool.complete_of(key, metric).n:
            return IMMATURE
        pair = self.pool.pair(metric, key, self.control_key)
        if metric in _RATES:
            return shortfall_of_rates(own.outcome for own in pair)
        return shortfall_of_money((own.outcome for own in pair), self._payers(metric, key))

    def _payers(self, metric: str, key: str) -> list[VariantMoments]:
        paid = _PAID_WITHIN.get(MomentMetric(metric), MomentMetric.CONVERSION)
        return [self.pool.complete_of(own, paid).outcome for own in (key, self.control_key)]
