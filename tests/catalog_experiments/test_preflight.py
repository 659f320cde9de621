"""The launch checklist: each check passes on a sound launch and names its fault on an unsound one."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog_experiments.models import Bundle, BundleAcceptanceMetric, Experiment, JobRun
from catalog_experiments.preflight import Check, failures, run_preflight, warnings
from catalog_experiments.stats.persistence import chance_of_bad_batch, chance_of_run
from tests.builders import NOON, make_bundle, make_experiment, make_running_experiment
from tests.catalog_experiments.acting import edit, publish

pytestmark = pytest.mark.django_db

CODES = [
    "variants",
    "weights",
    "bundles",
    "payloads",
    "canary",
    "guardrails",
    "pause_rule",
    "targeting",
    "exclusion_group",
    "slot",
    "schedule",
    "ramp",
    "timetable",
    "acceptance",
    "backfill",
    "jobs",
    "threshold",
    "prices",
    "stock",
    "traffic",
]


def make_acceptance(
    slug: str, *, accepted: int = 4000, sample: int = 20_000, age: dt.timedelta = dt.timedelta(hours=1)
) -> BundleAcceptanceMetric:
    return BundleAcceptanceMetric.objects.create(
        bundle=Bundle.objects.get(bundle_slug=slug),
        lookback_days=30,
        acceptance_rate=accepted / sample if sample else 0,
        acceptance_count=accepted,
        sample_size=sample,
        computed_at=NOON - age,
    )


def make_job_run(job: str, *, age: dt.timedelta = dt.timedelta(minutes=3), outcome: str = "done") -> JobRun:
    at = NOON - age
    return JobRun.objects.create(job=job, slot_at=at, started_at=at, finished_at=at, outcome=outcome)


def make_ready(**overrides: Any) -> Experiment:
    """Make a draft that passes every check."""
    draft = make_experiment(**overrides)
    for slug in ("cup-saucer-control", "cup-saucer-test"):
        make_acceptance(slug)
    for job in ("bundle-experiment-backfill", "bundle-guardrail-evaluation", "bundle-acceptance-aggregation"):
        make_job_run(job)
    return draft


def check_of(experiment: Experiment, code: str) -> Check:
    return next(check for check in run_preflight(experiment, now=NOON) if check.code == code)


def test_checklist__of_a_ready_draft__passes_every_check_in_a_fixed_order() -> None:
    checks = run_preflight(make_ready(), now=NOON)

    assert [check.code for check in checks] == CODES
    assert [check.sentence for check in checks if check.outcome != "pass"] == []
    assert all(check.fix_url.startswith("/admin/") and check.sentence.endswith(".") for check in checks)


def test_checklist__of_a_bare_draft__only_warns() -> None:
    checks = run_preflight(make_experiment(), now=NOON)

    assert failures(checks) == ()
    assert {check.code for check in warnings(checks)} == {"acceptance", "backfill", "jobs", "traffic"}


def variant(key: str, **fields: Any) -> dict[str, Any]:
    return {"key": key, "name": key.title(), **fields}


@pytest.mark.parametrize(
    ("variants", "code", "sentence"),
    [
        ([], "variants", "There are 0 controls"),
        ([variant("control", is_control=True)], "variants", "There is no test variant"),
        ([variant("a"), variant("b")], "variants", "mark exactly one variant as the control"),
        ([variant("control", is_control=True, weight=50), variant("test")], "weights", "Only some weights are zero"),
        ([variant("control", is_control=True), variant("test")], "bundles", "test has no bundle"),
    ],
)
def test_unsound_variants__fail(variants: list[dict[str, Any]], code: str, sentence: str) -> None:
    check = check_of(make_experiment(variants=variants), code)

    assert check.outcome == "fail"
    assert sentence in check.sentence


def test_weights__all_zero__mean_equal() -> None:
    draft = make_experiment()
    draft.variants.update(weight=0)

    assert check_of(draft, "weights") == Check(
        "weights", "pass", "Weights equal, 100 % of the visitors.", "/admin/merchandising/bundles/cup-saucer/edit"
    )


def test_coverage__that_does_not_split__fails_and_names_the_nearest() -> None:
    draft = make_experiment(coverage=5001)

    check = check_of(draft, "weights")

    assert check.outcome == "fail"
    assert "5000" in check.sentence


def test_bundle__inactive__fails_with_a_link_to_it() -> None:
    draft = make_experiment()
    Bundle.objects.filter(bundle_slug="cup-saucer-test").update(is_active=False)
    bundle = Bundle.objects.get(bundle_slug="cup-saucer-test")

    check = check_of(draft, "bundles")

    assert (check.outcome, check.fix_url) == ("fail", f"/admin/catalog_experiments/bundle/{bundle.pk}/change/")


def test_bundle__of_another_product_page__fails() -> None:
    draft = make_experiment()
    Bundle.objects.filter(bundle_slug="cup-saucer-test").update(primary_product_slug="pot")

    check = check_of(draft, "bundles")

    assert check.outcome == "fail"
    assert "cup, pot" in check.sentence


def test_payload__with_a_script_for_an_address__fails() -> None:
    draft = make_experiment()
    draft.variants.filter(key="test").update(override_payload={"image_url": "javascript:alert(1)"})

    assert check_of(draft, "payloads").outcome == "fail"


def test_guardrails__that_contradict_each_other__fail() -> None:
    draft = make_experiment(guardrail_config={"min_acceptance_rate": 0.5, "max_acceptance_rate": 0.2})

    assert check_of(draft, "guardrails").outcome == "fail"


def test_targeting__outside_the_subset__fails() -> None:
    draft = make_experiment(targeting={"country": {"$where": "1"}})

    assert check_of(draft, "targeting").outcome == "fail"


@pytest.mark.parametrize(("overlap", "outcome"), [("warn", "warn"), ("block", "fail")])
def test_slot__taken_by_another__warns_or_blocks(settings: Any, overlap: str, outcome: str) -> None:
    settings.EXPERIMENT_OVERLAP = overlap
    make_running_experiment(slug="earlier", name="Earlier")

    check = check_of(make_experiment(), "slot")

    assert check.outcome == outcome
    assert check.sentence.startswith("earlier runs on the same product page")


def test_slot__of_the_holder_itself__passes() -> None:
    holder = publish(make_experiment())
    publish(make_experiment(slug="waiting", name="Waiting"))

    assert check_of(holder, "slot").outcome == "pass"


def test_acceptance__older_than_26_hours__warns_and_says_how_old() -> None:
    draft = make_ready()
    BundleAcceptanceMetric.objects.filter(bundle__bundle_slug="cup-saucer-test").update(
        computed_at=NOON - dt.timedelta(hours=27)
    )

    check = check_of(draft, "acceptance")

    assert check.outcome == "warn"
    assert check.sentence == "The acceptance figures of cup-saucer-test are 27 hours old; run the aggregation."


def test_backfill__older_than_26_hours__warns() -> None:
    draft = make_experiment()
    make_job_run("bundle-experiment-backfill", age=dt.timedelta(hours=30))

    check = check_of(draft, "backfill")

    assert check.outcome == "warn"
    assert "last ran 30 hours ago" in check.sentence


def test_job__whose_last_run_failed__warns() -> None:
    draft = make_ready()
    make_job_run("bundle-acceptance-aggregation", age=dt.timedelta(0), outcome="failed")

    check = check_of(draft, "jobs")

    assert check.outcome == "warn"
    assert check.sentence == "The last run of bundle-acceptance-aggregation failed."


def test_guardrail_job__not_seen_for_an_hour__warns() -> None:
    draft = make_ready()
    JobRun.objects.filter(job="bundle-guardrail-evaluation").update(started_at=NOON - dt.timedelta(hours=2))

    assert "nothing would be paused" in check_of(draft, "jobs").sentence


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"min_acceptance_rate": 0.25}, "min_acceptance_rate (25.00%) lies above the control's own 20.00%"),
        ({"max_acceptance_rate": 0.15}, "max_acceptance_rate (15.00%) lies below the control's own 20.00%"),
    ],
)
def test_threshold__the_control_itself_misses__warns(config: dict[str, float], words: str) -> None:
    draft = make_ready(guardrail_config=config)

    check = check_of(draft, "threshold")

    assert check.outcome == "warn"
    assert words in check.sentence


def test_threshold__control_that_nobody_took__asks_whether_it_was_offered() -> None:
    draft = make_ready(guardrail_config={"min_acceptance_rate": 0.1})
    BundleAcceptanceMetric.objects.update(acceptance_count=0, acceptance_rate=0)

    check = check_of(draft, "threshold")

    assert check.outcome == "warn"
    assert check.sentence.startswith("Nobody took the control's bundle in the last ")


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"price_minor": None}, "prices", "cup-saucer-test has no price."),
        ({"cost_minor": None}, "prices", "cup-saucer-test has no cost"),
        ({"currency": "USD"}, "prices", "EUR and USD"),
        ({"stock_state": "unknown"}, "stock", "The stock of cup-saucer-test is unknown."),
    ],
)
def test_bundle__with_unknown_money_or_stock__warns(fields: dict[str, Any], code: str, words: str) -> None:
    draft = make_ready()
    Bundle.objects.filter(bundle_slug="cup-saucer-test").update(**fields)

    check = check_of(draft, code)

    assert check.outcome == "warn"
    assert words in check.sentence


def test_pause_rule__evidence__passes_with_its_chance_of_error() -> None:
    check = check_of(make_ready(), "pause_rule")

    assert check.outcome == "pass"
    assert check.sentence == "Pauses rest on evidence: a false one has a chance of at most 5 %."


def test_pause_rule__persistent__warns_with_its_price_and_its_reason() -> None:
    draft = make_ready(
        guardrail_config={
            "min_acceptance_rate": 0.1,
            "pause_rule": "persistent",
            "consecutive": 5,
            "pause_rule_reason": "The old shop did it like this",
        }
    )

    check = check_of(draft, "pause_rule")

    # 20,000 orders in 30 days, half of them a variant's: 14 an hour, 4 hours a batch of 56, 84 batches in 14 days.
    bad = chance_of_bad_batch(0.11, 0.1, 56)
    assert check.outcome == "warn"
    assert (
        f"would pause {100 * chance_of_run(bad, 84, 5):.0f} % of healthy experiments within 14 days" in check.sentence
    )
    assert "The old shop did it like this" in check.sentence


def test_guardrails__persistent_without_a_reason__fails() -> None:
    draft = make_ready(guardrail_config={"min_acceptance_rate": 0.1, "pause_rule": "persistent"})

    check = check_of(draft, "guardrails")

    assert check.outcome == "fail"
    assert "say in pause_rule_reason why it is wanted" in check.sentence


def test_traffic__too_little_for_eight_weeks__warns_with_the_days() -> None:
    draft = make_experiment()
    make_acceptance("cup-saucer-control", accepted=60, sample=300)

    check = check_of(draft, "traffic")

    # 6,510 orders per variant for 20 % to 22 % (Fleiss) at 5 a day each: 1,302 days, whole weeks, and the window of 7.
    assert check.outcome == "warn"
    assert check.sentence.startswith("A lift of 10 % in acceptance (6,510 orders per variant) would take 1,309 days")


def test_traffic__of_a_page_without_figures__is_unknown() -> None:
    assert "unknown" in check_of(make_experiment(), "traffic").sentence


def test_checklist__judges_what_would_go_live__pending_edits_included() -> None:
    running = publish(make_experiment())
    make_bundle(bundle_slug="pot-lid", primary_product_slug="pot")
    edit(running, guardrail_config={"min_acceptance_rate": 0.3})
    make_acceptance("cup-saucer-control")
    running.refresh_from_db()

    assert check_of(running, "threshold").outcome == "warn"


def test_checklist__of_many_variants__takes_as_many_queries_as_of_two() -> None:
    counts = []
    for slug, more in (("few", 1), ("many", 8)):
        bundle = make_bundle(bundle_slug=slug)
        tests = [variant(f"test-{number}", bundle=bundle) for number in range(more)]
        draft = make_experiment(slug=slug, variants=[variant("control", is_control=True, bundle=bundle), *tests])
        with CaptureQueriesContext(connection) as queries:
            run_preflight(draft, now=NOON)
        counts.append(len(queries))

    assert counts[0] == counts[1]


def test_command__as_json__prints_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    make_experiment()

    call_command("preflight", "cup-saucer", "--format", "json")

    printed = json.loads(capsys.readouterr().out)
    assert [check["code"] for check in printed] == CODES
    assert set(printed[0]) == {"code", "outcome", "sentence", "fix_url"}


def test_command__with_a_failing_check__exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    make_experiment(variants=[])

    with pytest.raises(CommandError, match=f"of {len(CODES)} checks fail") as refused:
        call_command("preflight", "cup-saucer")

    assert refused.value.returncode == 1
    assert "fail  variants" in capsys.readouterr().out


def test_command__for_an_unknown_experiment__says_so() -> None:
    with pytest.raises(CommandError, match="no experiment 'nobody'"):
        call_command("preflight", "nobody")


def test_schedule__end_that_is_past__fails() -> None:
    passed = check_of(make_experiment(slug="ahead", scheduled_end_at=NOON + dt.timedelta(hours=1)), "schedule")
    failed = check_of(make_experiment(slug="past", scheduled_end_at=NOON), "schedule")

    assert (passed.outcome, failed.outcome) == ("pass", "fail")
    assert "is past" in failed.sentence


def test_ramp__that_does_not_split_by_the_weights__fails() -> None:
    plan = [{"coverage": 501}, {"coverage": 10_000}]

    assert check_of(make_experiment(slug="odd", ramp_plan=plan), "ramp").outcome == "fail"
    assert "5 %, 100 %" in check_of(make_experiment(ramp_plan=[{"coverage": 500}, plan[1]]), "ramp").sentence


def test_timetable__left_to_the_clock_and_nobody_looks__warns() -> None:
    draft = make_experiment(scheduled_end_at=NOON + dt.timedelta(hours=1))

    assert check_of(draft, "timetable").outcome == "warn"
    JobRun.objects.create(
        job="experiment-timetable", slot_at=NOON, trigger="schedule", started_at=NOON, outcome="done", attempts=1
    )
    assert check_of(draft, "timetable").outcome == "pass"
