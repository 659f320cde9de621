"""Can the data be trusted? Who was met and who was left out, whether orders find their visitors, and the gaps."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from catalog_experiments.analysis import Buyers, DataQuality, LeftOutRatios, Report, UnitCounts
from catalog_experiments.analysis.unexposed import MOST_ORDERS
from catalog_experiments.phrasing import rate_text

WORST_SHARE = 0.01
"""Share of mixed or faulty units above which guardrails hold."""

MOST_GAPS = 10
_ALARMED_FROM = 0.8
_REASONS = {"bot": "bots", "staff": "staff", "test": "tests"}
_CAUSES = {
    "telemetry_silent": "No exposures",
    "aggregation_stale": "Numbers out of date",
    "join_rate_halved": "Orders without their visitor",
    "reading_stale": "Read too late",
    "canary_red": "The A/A canary was red",
}


@dataclass(frozen=True, slots=True)
class TrustRow:
    """One check of the data: passed or not, in a sentence."""

    label: str
    is_good: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class UnitRow:
    """The units of one variant, by what became of them."""

    variant: str
    units: UnitCounts


def trust_rows(report: Report | None) -> list[TrustRow]:
    """Say whether shoppers are split as planned and telemetry is whole; empty before the first of them."""
    if report is None:
        return []
    return [
        *_split(report),
        *_left_out_splits(report.left_out_ratios, all_units(report).mixed),
        *_units(all_units(report)),
        *_quality(report.quality),
    ]


def unit_rows(report: Report | None) -> list[UnitRow]:
    """Return the units of each variant, control first; empty before the first aggregation."""
    if report is None or not all_units(report).met:
        return []
    return [UnitRow(variant.name, variant.units) for variant in report.variants]


def all_units(report: Report) -> UnitCounts:
    """Return the units of all variants together."""
    return sum((variant.units for variant in report.variants), UnitCounts())


def left_out_text(units: UnitCounts) -> str:
    """Say how many of the visitors met were left out by rule and why, '' without any.

    >>> left_out_text(UnitCounts(exposed=12_030, bots=290, staff=20))
    '12,340 exposures, 310 excluded: 290 bots, 20 staff'
    """
    reasons = {"bots": units.bots, "staff": units.staff, "tests": units.tests}
    told = ", ".join(f"{count:,} {name}" for name, count in reasons.items() if count)
    return f"{units.met:,} exposures, {units.excluded:,} excluded: {told}" if told else ""


def _split(report: Report) -> Iterator[TrustRow]:
    if report.srm is None:
        return
    counts = _ratio(variant.exposed_count for variant in report.variants)
    is_good = not report.srm.is_mismatch
    verdict = "as planned" if is_good else "not as planned: the lift cannot be trusted"
    yield TrustRow("Split of visitors", is_good, f"{counts}, {verdict}")


def _left_out_splits(ratios: LeftOutRatios | None, mixed: int) -> Iterator[TrustRow]:
    if ratios is None:
        return
    if ratios.mixed is not None:
        is_good = not ratios.mixed.is_mismatch
        told = "as planned" if is_good else "not as planned: one variant loses more of its visitors than the other"
        yield TrustRow("Split of those seen with two", is_good, f"{_ratio(ratios.mixed.counts)}, {told}")
    elif mixed:
        yield TrustRow("Split of those seen with two", is_good=True, sentence=f"{mixed:,}: too few to compare")
    if ratios.buyers is None:
        sentence = "Not known any more: the exposures of this phase have left"
        yield TrustRow("Buyers without an exposure", is_good=True, sentence=sentence)
    elif ratios.buyers.without_exposure or ratios.buyers.nameless:
        is_good = ratios.unmet is None or not ratios.unmet.is_mismatch
        yield TrustRow("Buyers without an exposure", is_good, ". ".join(_unmet(ratios, ratios.buyers)))


def _unmet(ratios: LeftOutRatios, buyers: Buyers) -> Iterator[str]:
    among = f" among the newest {MOST_ORDERS:,} orders" if buyers.is_partial else ""
    yield f"{buyers.without_exposure:,}{among}"
    if ratios.unmet is not None:
        told = "unlike" if ratios.unmet.is_mismatch else "as"
        yield f"{_ratio(ratios.unmet.counts)} by the offer they bought, {told} the buyers who were met"
    elif buyers.unmet:
        yield f"{sum(buyers.unmet.values()):,} of them bought an offer: too few to compare"
    if buyers.unnamed:
        yield f"{buyers.unnamed:,} bought none: visitor ids are not stored, so nobody can say which variant was theirs"
    if buyers.nameless:
        yield f"Besides, {buyers.nameless:,} orders came without a visitor id"


def _ratio(counts: Iterable[int]) -> str:
    return " : ".join(f"{count:,}" for count in counts)


def _units(units: UnitCounts) -> Iterator[TrustRow]:
    if units.met:
        yield TrustRow(
            "Left out by rule", is_good=True, sentence=left_out_text(units) or f"none of {units.met:,} exposures"
        )
    whole = units.exposed + units.mixed + units.faulty
    for label, count in (("Seen with two variants", units.mixed), ("Claimed another variant", units.faulty)):
        if whole:
            sentence = f"{count:,} of {whole:,} visitors ({rate_text(count / whole)})"
            yield TrustRow(label, count <= WORST_SHARE * whole, sentence)


def _quality(quality: DataQuality | None) -> Iterator[TrustRow]:
    if quality is None:
        return
    if quality.orders:
        yield _joins(quality)
    if quality.foreign_orders:
        sentence = f"{quality.foreign_orders:,} orders are in no money metric"
        yield TrustRow("Other currencies", is_good=True, sentence=sentence)
    if told := _excluded_orders(quality):
        yield TrustRow("Orders left out by rule", is_good=True, sentence=told)
    for gap in quality.gaps[-MOST_GAPS:]:
        end = f"to {gap.ended_at:%-d %b %H:%M} UTC" if gap.ended_at else "until now"
        label = _CAUSES.get(gap.cause, gap.cause.replace("_", " ").capitalize())
        yield TrustRow(label, gap.ended_at is not None, f"from {gap.started_at:%-d %b %H:%M} {end}")


def _joins(quality: DataQuality) -> TrustRow:
    rate, usual = quality.joined_orders / quality.orders, quality.usual_join_rate
    known = f"{quality.joined_orders:,} of {quality.orders:,} orders of the last day ({rate_text(rate)})"
    told = known if usual is None else f"{known}, usually {rate_text(usual)}"
    return TrustRow("Orders that find their visitor", usual is None or rate > _ALARMED_FROM * usual, told)


def _excluded_orders(quality: DataQuality) -> str:
    return "; ".join(
        f"{key}: {', '.join(f'{count:,} {_REASONS[reason]}' for reason, count in reasons.items())}"
        for key, reasons in quality.excluded_orders.items()
    )
