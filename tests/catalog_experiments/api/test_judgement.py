"""Preflight, evaluate and report: what is said, what is stored (nothing), and what enforcement does."""

from collections.abc import Callable

import pytest

from catalog_experiments.models import Experiment, GuardrailEvaluation
from tests.builders import make_experiment, make_running_experiment
from tests.catalog_experiments.api.conftest import Api, json_of, problem_of
from tests.catalog_experiments.api.test_experiment_list import make_metric

HERE = "/catalog/experiments/cup-saucer"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_preflight__draft__lists_every_check(api: Api, method: str, fingerprint: Callable[[], str]) -> None:
    make_experiment()
    before = fingerprint()

    response = api.call(method, f"{HERE}/preflight")

    checks = json_of(response)
    assert response.status_code == 200
    assert {check["outcome"] for check in checks} <= {"pass", "warn", "fail"}
    assert len({check["code"] for check in checks}) > 3
    assert fingerprint() == before


def test_evaluate__draft__is_collecting_without_metric(api: Api, fingerprint: Callable[[], str]) -> None:
    make_experiment()
    before = fingerprint()

    report = json_of(api.post(f"{HERE}/evaluate"))

    assert report["experiment"] == "cup-saucer"
    assert [entry["variant_key"] for entry in report["breaches"]] == ["control", "test"]
    for entry in report["breaches"]:
        assert entry["latest_metric"] is None
        assert entry["verdict"] == "collecting"
        assert "sample_size" in entry["breaches"]
    assert fingerprint() == before


def test_evaluate__one_variant_below_the_bound__names_it_and_pauses_nothing(
    api: Api, fingerprint: Callable[[], str]
) -> None:
    experiment = make_running_experiment(sample_size_guardrail=5)
    make_metric(experiment, "control", acceptance_rate="0.1800", acceptance_count=18, sample_size=100)
    make_metric(experiment, "test", acceptance_rate="0.0200", acceptance_count=2, sample_size=100)
    before = fingerprint()

    report = json_of(api.post(f"{HERE}/evaluate"))

    control, test = report["breaches"]
    assert control["breaches"] == []
    assert test["breaches"] == ["min_acceptance_rate"]
    assert test["bundle_slug"] == "cup-saucer-test"
    assert test["latest_metric"]["acceptance_rate"] == 0.02
    assert report["evaluated_at"]
    assert report["record"] is None
    assert fingerprint() == before


def test_evaluate__enforced__wants_the_operate_scope(
    api_with: Callable[..., Api], fingerprint: Callable[[], str]
) -> None:
    make_running_experiment()
    before = fingerprint()

    problem_of(api_with("read").post(f"{HERE}/evaluate?enforce=true"), 403, "permission_denied")
    assert api_with("read", "operate").post(f"{HERE}/evaluate?enforce=false").status_code == 200

    assert fingerprint() == before


def test_evaluate__enforced__leaves_a_record(api: Api) -> None:
    experiment = make_running_experiment()

    response = api.post(f"{HERE}/evaluate?enforce=true")

    assert response.status_code == 200, response.content
    record = GuardrailEvaluation.objects.get(experiment=experiment)
    assert json_of(response)["record"]["record_hash"] == record.record_hash
    assert Experiment.objects.get().status == "running"


@pytest.mark.parametrize("status", ["draft", "paused", "completed"])
def test_evaluate__enforced_on_one_that_does_not_run__only_reports(
    api: Api, fingerprint: Callable[[], str], status: str
) -> None:
    make_experiment()
    for step in {"draft": (), "paused": ("publish", "pause"), "completed": ("publish", "complete")}[status]:
        assert api.post(f"{HERE}/{step}").status_code == 200
    before = fingerprint()

    response = api.post(f"{HERE}/evaluate?enforce=true")

    assert response.status_code == 200, response.content
    assert len(json_of(response)["breaches"]) == 2
    assert fingerprint() == before


@pytest.mark.parametrize("query", ["enforce=yes", "enforce=1", "enforce=", "enforce=true&enforce=true", "pause=true"])
def test_evaluate__odd_query__answers_400(api: Api, query: str) -> None:
    make_running_experiment()

    problem_of(api.post(f"{HERE}/evaluate?{query}"), 400, "invalid_query")


def test_report__running__gives_figures_with_uncertainty(api: Api) -> None:
    experiment = make_running_experiment()
    make_metric(experiment, "control")
    make_metric(experiment, "test", acceptance_rate="0.0950", acceptance_count=95, lift_vs_control="-0.4722")

    report = json_of(api.get(f"{HERE}/report"))

    control, test = report["variants"]
    assert (control["key"], control["is_control"], control["lift"]) == ("control", True, None)
    assert test["lift"] == pytest.approx(95 / 180 - 1)
    lower, upper = test["acceptance_interval"]
    assert lower < 0.095 < upper
    assert report["phase_number"] == 1


def test_report__running__tells_whom_it_left_out_and_how_whole_telemetry_is(api: Api) -> None:
    experiment = make_running_experiment()
    counts = {"mixed_count": 4, "cut_count": 7, "excluded_counts": {"bot": 290, "staff": 20, "test": 0}}
    make_metric(experiment, "test", exposed_count=12_026, metadata=counts)

    report = json_of(api.get(f"{HERE}/report"))

    units = report["variants"][1]["units"]
    assert (units["met"], units["exposed"], units["excluded"]) == (12_340, 12_026, 310)
    assert (units["bots"], units["staff"], units["tests"], units["mixed"], units["cut"]) == (290, 20, 0, 4, 7)
    assert report["quality"]["gaps"] == []
    assert (report["quality"]["orders"], report["quality"]["usual_join_rate"]) == (0, None)


def test_report__draft__says_so(api: Api) -> None:
    make_experiment()

    report = json_of(api.get(f"{HERE}/report"))

    assert (report["phase_number"], report["variants"]) == (None, [])
    assert report["notes"]


def test_report__unchanged__answers_304(api: Api) -> None:
    make_experiment()
    tag = api.get(f"{HERE}/report").headers["ETag"]

    assert api.get(f"{HERE}/report", **{"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize(("method", "view"), [("GET", "preflight"), ("POST", "evaluate"), ("GET", "report")])
def test_judgement__unknown_experiment__is_404(api: Api, method: str, view: str) -> None:
    problem_of(api.call(method, f"/catalog/experiments/ghost/{view}"), 404, "not_found")
