"""The heavy statements by name, in the order of an order's way: what each answers, and which may read all, and why.

A name is the constant that holds the statement, else the function that runs it, with the temporary table it fills.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

FIRST = "the first aggregation"
LOOK = "pages and reports"
ERASED = "an aggregation after that"
FEW = "a table of alerts: tens a day, and nobody but a person at this page asks for all"
DEMO = "the demo shop's own list, for a person"


@dataclass(frozen=True)
class Heavy:
    """A statement that touches a watched table; `whole` gives the reason to read all, by the verb that may."""

    answers: str
    whole: Mapping[str, str] = field(default_factory=dict)


INTAKE = {
    "intake.exposure_rows.UPSERT": "Store exposures: one row per phase and unit, the earliest stays.",
    "intake.exposure_rows.KNOWN": "Which units of a batch have a row under an older key?",
    "intake.aliases.SETTLE": "Which exposures in open phases belong to one person, and mark them.",
    "intake.order_rows.INSERT": "Store orders, each reference once.",
    "intake.order_rows.KNOWN": "Which orders of a batch are stored already?",
    "intake.order_rows.LOCK": "Lock the orders that a batch reports again.",
    "intake.order_rows.REVISE": "Store the new state of locked orders.",
    "intake.order_rows.WITHDRAW_OUTCOMES": "Take back the acceptance of a bundle of which a piece came back.",
}
NEWS = {
    "aggregation.news.COUNT_NEWS": "Is there so much news that counting everything is cheaper?",
    "aggregation.news.find_news (news)": "Which orders were recorded or changed since the last run?",
    "aggregation.news.find_news (affected)": "Which units met a phase or ordered since the last run?",
    "aggregation.news.RELATE": "Which other units of these people may have orders of theirs counted for them?",
    "aggregation.news.find_news (hours)": "In which hours lie the orders of units from days that are closed?",
    "aggregation.news.find_news (chosen)": "Whom to measure again: affected units, and all who ordered in those hours.",
    "aggregation.news.find_news (former)": "What did the affected units add to their sums before?",
    "aggregation.units.measure_some (met)": "When did the chosen units, and all of closed days with news, meet it?",
    "aggregation.units.measure_some (placed)": "Their orders, from 28 days before to the end of their windows.",
    "aggregation.units.measure_some (verdicts)": "Which bundles did these orders take?",
    "aggregation.units.measure_some (lines)": "How many pieces of the bundles' products do they hold?",
    "aggregation.cohorts.store_some (counted)": "How many units of days with news count, and how many do not?",
    "aggregation.open_units.FORGET": "Let go what the affected units added before.",
    "aggregation.open_units.keep_changed": "Keep what they add now.",
    "aggregation.telemetry_hours.LATE": "How far back lie the facts that came in late?",
    "aggregation.telemetry_hours.COUNT_HOURS": "What came in by the hour, and which orders found their visitor?",
    "aggregation.acceptance.COUNT_CHANGED": "How often were bundles taken in the hours that changed orders lie in?",
    "aggregation.acceptance.UPDATE": "How often were bundles taken over the look-back? Hours, and orders at its ends.",
}
WHOLE = {
    "aggregation.units.measure_all (placed)": Heavy("Orders from 28 days before the first phase began."),
    "aggregation.units.measure_all (verdicts)": Heavy(
        "Which bundles did orders take, of those the phases offer?",
        {FIRST: "with more than twelve phases nearly every outcome is of a bundle that one of them offers"},
    ),
    "aggregation.units.measure_all (lines)": Heavy(
        "How many pieces of the bundles' products do orders since the first phase hold?"
    ),
    "aggregation.persons.lay_out_persons (persons)": Heavy(
        "Which unit stays of each person, and under which other ids did it order?",
        {FIRST: "more people than are worth looking up, and more than twelve phases: their months are read once"},
    ),
    "aggregation.units.measure_all (measured)": Heavy(
        "Meet exposures and orders: what did each unit with an order do?",
        {FIRST: "more than twelve phases: their months are read once, from end to end"},
    ),
    "aggregation.cohorts.store_all (counted)": Heavy(
        "How many units of each day count, and how many are left out?",
        {
            FIRST: "more than twelve phases: their months are read once, from end to end",
            ERASED: "only phases of which not all was counted, whole; here one of them makes up most of its month",
        },
    ),
    "aggregation.open_units.FORGET_WRONG": Heavy("Let go of open units that are not right."),
    "aggregation.open_units.ADD_MISSING": Heavy("Keep the open units that are missing."),
    "aggregation.telemetry_hours.LAY_OUT_WEEKS (weeks)": Heavy(
        "What came in by the hour in the last four weeks, of phases that are new?",
        {FIRST: "more than twelve phases: their months are read once, from end to end"},
    ),
    "aggregation.acceptance.COUNT_ALL": Heavy(
        "How often were bundles taken, by the hour, since the first order?",
        {FIRST: "counted once for good; later runs count changed hours alone"},
    ),
    "aggregation.backfill._counts_by_day (counted)": Heavy("How many units of each day counted? For the backfill."),
}
TICK = {
    "enforcement.frame.COUNT_EXPOSURES": "How many units met each variant in the hours since the last evaluation?",
    "analysis.quality.LAST_EXPOSURES": "When did each phase hear of a visitor last?",
    "ramping.standing.COUNT_FRESH": "How many units met each variant since the ramp's step began?",
}
LAUNCH = {
    "preflight.traffic._daily_visitors": "How many visitors a day did the page have?",
    "phases.caps._AMOUNTS": "What did paying visitors spend in the 28 days before? For the caps.",
    "lifecycle.activation.gap_cost": "How many units does a pause cut?",
    "experiment_import.runs._store": "How many units of an imported experiment saw two variants?",
}
PAGES = {
    "analysis.left_out.EXCLUDED_ORDERS": "How many orders were left out as a bot's, staff's or tests?",
    "analysis.unexposed.BUYERS": "Who bought the product of a phase that is over, and whom did no exposure meet?",
    "admin.overview.figures": "How many orders came today? For the row of figures.",
    "admin.telemetry.ExposureAdmin": "The admin's list of exposures, the newest phase first.",
    "admin.telemetry.OrderAdmin": "The admin's list of orders, the newest first.",
    "admin.telemetry.OrderOutcomeAdmin": "The admin's list of outcomes, the newest first.",
}
MEASURING = {
    "aggregation.drawing.DRAW": "Whom did the last four weeks meet, and who ordered? A sample.",
}
LEAVING = {
    "privacy.records.EXPOSURES": Heavy("Which phases did a person meet?"),
    "privacy.records.orders_of": Heavy("What did a person order, and which bundles did the orders take?"),
    "privacy.records.RUNNING_SUMS": Heavy("What does a person add to sums that are open?"),
    "privacy.erasure.HOLD_OFF_COUNTING": Heavy("Which phases must not be counted while a person is erased?"),
    "privacy.erasure.COUNT_ANEW": Heavy("Which phases did other ids of the person meet, when these are to stay?"),
    "aggregation.erased.MET": Heavy("Which phases did the person meet?"),
    "aggregation.erased._keep_cohorts (leaving)": Heavy("The exposures that leave, locked."),
    "aggregation.erased.RECOUNT": Heavy("Count phases whole that have not counted all of the person's facts yet."),
    "aggregation.cohorts.lay_out_rows (counted)": Heavy("How do these exposures count?"),
    "aggregation.erased.KEEP_HOURS": Heavy("Keep what the person's orders add to the acceptance of bundles."),
    "aggregation.erased.RECOUNT_HOURS": Heavy("Count acceptance anew where these orders are not counted yet."),
    "privacy.erasure.ERASE_EXPOSURES": Heavy("Erase a person's exposures."),
    "privacy.erasure.ERASE_OPEN_UNITS": Heavy("Erase what a person adds to sums that are open."),
    "privacy.erasure.ERASE_ORDERS": Heavy("Erase a person's orders with their outcomes."),
    "aggregation.acceptance.COUNT_ALL_WITH_ERASED": Heavy(
        "How often were bundles taken, by the hour, by those who were erased too?",
        {ERASED: "only when a person is erased minutes after an order: what nobody had counted yet is counted anew"},
    ),
    "aggregation.acceptance.COUNT_CHANGED_WITH_ERASED": Heavy("The same of the hours that changed orders lie in."),
    "retention.exposures.LEFT_BEHIND": Heavy("Which retired phases hold exposures still?"),
    "retention.exposures.COUNT": Heavy(
        "How many exposures would leave, and how many bytes?",
        {"retention": "the months that leave are counted whole, once a night; no other month is touched"},
    ),
    "retention.exposures.DELETE": Heavy("Let a batch of a phase's exposures go, where its month stays."),
    "retention.orders.COUNT": Heavy("How many orders and outcomes would leave, and how many bytes?"),
    "retention.orders.DELETE": Heavy("Let a batch of the oldest orders go, with their outcomes."),
    "retention.runs._mark": Heavy("Let the open units of a retired phase go."),
}
OUTBOX = {
    "delivery._due_targets": Heavy("Which targets have messages due?"),
    "delivery._has_sender": Heavy("Is somebody sending to the target?"),
    "delivery._locked_due": Heavy("The most urgent messages that are due, locked."),
    "delivery.claim": Heavy("Take them for one lease."),
    "delivery.settle": Heavy("Find a message again whose send has ended."),
    "delivery._apply": Heavy("Store how the send ended."),
    "delivery._release": Heavy("Put back a message that was claimed and not tried."),
    "delivery._give_up_waiting": Heavy("Give up what waits for a target that is gone."),
    "probes.outbox_state": Heavy("How old is the oldest waiting message?"),
    "probes.dead_deliveries": Heavy("How many messages were given up?"),
    "admin.alert.AlertAdmin": Heavy("What became of the messages of the alerts on a page of the admin?"),
    "admin.delivery.DeliveryAdmin": Heavy("The admin's list of messages, with the counts of its filters.", {LOOK: FEW}),
}
SHOP = {
    "shop.order_of": Heavy("The order with this reference."),
    "shop.last_order": Heavy("The order this visitor's basket became."),
    "shop.report_due": Heavy("Orders that telemetry has not heard of."),
    "shop._settle": Heavy("Mark an order as reported."),
    "probes.order_reports": Heavy("How many orders wait for longer than five minutes?"),
    "probes.collect_metrics": Heavy("How many orders wait?"),
    "admin.ShopOrderAdmin": Heavy("The admin's list of the demo shop's orders.", {LOOK: DEMO}),
}


def _named(app: str, statements: Mapping[str, Heavy | str]) -> dict[str, Heavy]:
    known = {name: Heavy(about) if isinstance(about, str) else about for name, about in statements.items()}
    return {f"{app}.{name}": about for name, about in known.items()}


SECTIONS: Mapping[str, Mapping[str, Heavy]] = {
    "Intake": _named("catalog_experiments", INTAKE),
    "A refresh: what is news": _named("catalog_experiments", NEWS),
    "A first count and a backfill: whole phases, on purpose": _named("catalog_experiments", WHOLE),
    "Guardrails and ramps": _named("catalog_experiments", TICK),
    "Launch, pause and import": _named("catalog_experiments", LAUNCH),
    "Pages and reports": _named("catalog_experiments", PAGES),
    "Trying the measuring itself": _named("catalog_experiments", MEASURING),
    "Privacy and retention": _named("catalog_experiments", LEAVING),
    "The outbox": _named("notifications", OUTBOX),
    "The shop": _named("storefront", SHOP),
}
HEAVY: Mapping[str, Heavy] = {name: about for section in SECTIONS.values() for name, about in section.items()}
