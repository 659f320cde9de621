"""Every refusal is a problem document: also those of the framework, of the database, and of faults of ours."""

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, InterfaceError, OperationalError, connection
from django.template.loader import render_to_string
from django.test import Client

from catalog_experiments.api.errors import translate
from tests.builders import make_experiment
from tests.catalog_experiments.api.conftest import Api, json_of, problem_of

HOME = "/admin/merchandising/bundles"


@pytest.mark.parametrize(
    "path", ["/api/v1/nothing", "/api/v1/", "/api/", "/api/v2/catalog/experiments", "/api/v1/catalog/experiments/a/b/c"]
)
def test_unknown_address__is_a_problem(nobody: Api, path: str) -> None:
    problem_of(nobody.get(path), 404, "not_found")
    problem_of(nobody.post(path, {"a": 1}), 404, "not_found")


def test_unknown_address__outside_the_api__is_a_page(nobody: Api) -> None:
    response = nobody.client.get("/no-such-page")

    assert response.status_code == 404
    assert response.headers["Content-Type"].startswith("text/html")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("address", "way_back"),
    [("/no-such-page", "/"), ("/admin/merchandising/bundles/none", HOME), ("/admin/none/", HOME)],
)
def test_unknown_address__outside_the_api__leads_back_to_the_house_it_is_in(
    admin_client: Client, address: str, way_back: str
) -> None:
    page = admin_client.get(address)

    assert page.status_code == 404
    assert f'<a href="{way_back}">' in page.content.decode()
    assert "catalog_experiments/plain.css" in page.content.decode()


@pytest.mark.parametrize("status", [400, 403, 500, 503])
def test_refusal_page__rendered_without_a_request__says_one_thing_and_leads_back(status: int) -> None:
    page = render_to_string(f"{status}.html")

    assert page.count("<h1>") == page.count("</a>") == 1
    assert '<a href="/">' in page


def test_forbidden__outside_the_api__is_a_page_in_the_house_style(client: Client, db: None) -> None:
    client.force_login(User.objects.create_user("guest", is_staff=True))

    page = client.get(HOME)

    assert page.status_code == 403
    assert "<h1>Not allowed</h1>" in page.content.decode()


def test_form_without_a_token__outside_the_api__says_that_nothing_was_done(db: None) -> None:
    page = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "a", "password": "b"})

    assert page.status_code == 403
    assert "<h1>Please send it again</h1>" in page.content.decode()


def test_database_away__outside_the_api__asks_to_come_back(nobody: Api) -> None:
    def refuse(*args: object) -> None:
        raise OperationalError("connection refused, secret detail")

    nobody.client.raise_request_exception = False
    with connection.execute_wrapper(refuse):
        response = nobody.client.get("/basket", headers={"Cookie": f"visitor={'v' * 24}"})

    assert response.status_code == 503
    assert response.headers["Retry-After"]
    assert "Back in a moment" in response.content.decode()
    assert '<a href="/basket">Try again</a>' in response.content.decode()
    assert "secret" not in response.content.decode()


def test_unknown_host__is_a_problem(api: Api) -> None:
    problem_of(api.get("/catalog/experiments", Host="evil.example"), 400, "bad_request")


def test_fault_of_ours__is_a_problem_without_its_cause(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("secret detail: SELECT * FROM catalog_bundles")

    monkeypatch.setattr("catalog_experiments.api.views.experiments.CatalogExperimentService.get", fail)

    response = api.get("/catalog/experiments/any")

    problem = problem_of(response, 500, "server_error")
    assert "secret" not in response.content.decode()
    assert problem["request_id"]


def test_fault_in_a_middleware__is_a_problem(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("django.middleware.common.CommonMiddleware.process_request", fail)

    response = api.get("/catalog/experiments")

    problem_of(response, 500, "server_error")
    assert b"secret" not in response.content


@pytest.mark.parametrize("fault", [OperationalError, InterfaceError])
def test_database_away__is_a_503_that_says_try_again(
    api: Api, monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise fault("connection to 10.0.0.5 refused")

    monkeypatch.setattr("catalog_experiments.api.views.experiments.CatalogExperimentService.get", fail)

    response = api.get("/catalog/experiments/any")

    problem_of(response, 503, "unavailable")
    assert response.headers["Retry-After"] == "1"
    assert b"10.0.0.5" not in response.content


def test_constraint_met__is_a_409_without_sql(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = translate(IntegrityError('duplicate key value violates unique constraint "x"'))

    assert problem is not None
    assert (problem.status, problem.code) == (409, "conflict")
    assert "duplicate key" not in problem.detail


def test_request_id__of_the_caller__comes_back(api: Api) -> None:
    response = api.get("/catalog/experiments/ghost", **{"X-Request-ID": "trace-1"})

    assert response.headers["X-Request-ID"] == "trace-1"
    assert json_of(response)["request_id"] == "trace-1"


@pytest.mark.parametrize("offered", ["", "a b", "x" * 65, "a\tb", "<script>", "\xe9"])
def test_request_id__unfit__is_replaced(api: Api, offered: str) -> None:
    response = api.get("/catalog/experiments/ghost", **{"X-Request-ID": offered})

    given = response.headers["X-Request-ID"]
    assert given not in ("", offered)
    assert json_of(response)["request_id"] == given


def test_addresses__with_a_slash__answer_without_redirect(api: Api) -> None:
    make_experiment()

    assert json_of(api.get("/catalog/experiments/")) == json_of(api.get("/catalog/experiments"))
    assert api.get("/catalog/experiments/cup-saucer/").status_code == 200
    assert api.post("/catalog/experiments/", {"slug": "other", "name": "Other"}).status_code == 201
    assert api.post("/catalog/experiments/cup-saucer/evaluate/").status_code == 200


@pytest.mark.parametrize("path", ["/catalog/experiments/cup-saucer", "/catalog/experiments/ghost"])
def test_answers__are_not_kept_by_shared_caches(api: Api, path: str) -> None:
    make_experiment()

    assert api.get(path).headers["Cache-Control"] in ("private, no-cache", "no-store")
