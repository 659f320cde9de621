"""Every address wants a key: missing, wrong, revoked and misplaced ones all get the same 401."""

from collections.abc import Callable, Iterator

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django import Settings

from catalog_experiments.access import ALL_SCOPES, Scope, issue_key
from catalog_experiments.models import ApiKey
from tests.builders import make_experiment
from tests.catalog_experiments.api.conftest import Api, json_of, problem_of

OPEN = {"/api/schema/", "/api/docs/"}

SCOPES = {
    ("GET", "/catalog/experiments"): {"read"},
    ("POST", "/catalog/experiments"): {"operate"},
    ("GET", "/catalog/experiments/x"): {"read"},
    ("PUT", "/catalog/experiments/x"): {"operate"},
    ("DELETE", "/catalog/experiments/x"): {"operate"},
    ("POST", "/catalog/experiments/x/publish"): {"operate"},
    ("POST", "/catalog/experiments/x/pause"): {"operate"},
    ("POST", "/catalog/experiments/x/resume"): {"operate"},
    ("POST", "/catalog/experiments/x/complete"): {"operate"},
    ("POST", "/catalog/experiments/x/conclude"): {"operate"},
    ("POST", "/catalog/experiments/x/clone"): {"operate"},
    ("POST", "/catalog/experiments/x/ramp/advance"): {"operate"},
    ("POST", "/catalog/experiments/x/ramp/stop"): {"operate"},
    ("GET", "/catalog/experiments/x/preflight"): {"read"},
    ("POST", "/catalog/experiments/x/preflight"): {"read"},
    ("POST", "/catalog/experiments/x/evaluate"): {"read"},
    ("POST", "/catalog/experiments/x/guardrail-backtest"): {"read"},
    ("POST", "/catalog/bundles/x/guardrail-backtest"): {"read"},
    ("GET", "/catalog/experiments/x/report"): {"read"},
    ("GET", "/catalog/experiments/x/metrics"): {"read"},
    ("GET", "/catalog/experiments/x/events"): {"read"},
    ("GET", "/catalog/bundles/"): {"read"},
    ("POST", "/catalog/bundles/"): {"operate"},
    ("GET", "/catalog/bundles/product/x"): {"read"},
    ("GET", "/catalog/bundles/x"): {"read"},
    ("PATCH", "/catalog/bundles/x"): {"operate"},
    ("DELETE", "/catalog/bundles/x"): {"operate"},
    ("POST", "/catalog/exposures"): {"ingest", "evaluate"},
    ("POST", "/catalog/aliases"): {"ingest"},
    ("POST", "/catalog/orders"): {"ingest"},
    ("POST", "/orders/"): {"ingest"},
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def routes() -> Iterator[tuple[str, list[str]]]:
    """Yield each address under /api/v1/ that our own views answer, with their methods."""

    def walk(patterns: list[URLPattern | URLResolver], prefix: str) -> Iterator[tuple[str, list[str]]]:
        for pattern in patterns:
            route = prefix + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, route)
            elif route.startswith("api/v1/") and pattern.lookup_str.startswith("catalog_experiments.api."):
                view = pattern.callback.view_class  # type: ignore[attr-defined]  # set by as_view
                methods = [name.upper() for name in view.http_method_names if hasattr(view, name)]
                address = route.replace("<str:slug>", "x").replace("<str:reference>", "x")
                yield "/" + address.replace("<str:product_slug>", "x"), methods

    yield from walk(get_resolver().url_patterns, "")


def test_routes__all_of_them__stand_in_the_scope_table() -> None:
    served = {
        (method, address.removeprefix("/api/v1"))
        for address, methods in routes()
        for method in methods
        if method != "HEAD"
    }

    spelled_otherwise = {
        (method, path.rstrip("/") if path.endswith("/") else f"{path}/")
        for method, path in SCOPES
        if path != "/orders/"
    } | {("POST", "/orders")}
    assert served == set(SCOPES) | spelled_otherwise


def test_routes__without_a_key__are_all_401_with_a_challenge(nobody: Api) -> None:
    for address, methods in routes():
        for method in methods:
            response = nobody.call(method, address, {})
            assert response.status_code == 401, (method, address)
            assert response.headers["WWW-Authenticate"] == 'Bearer realm="smplat"'
            if method != "HEAD":
                assert json_of(response)["detail"] == "Invalid API key"


@pytest.mark.parametrize("scope", [*ALL_SCOPES])
def test_scopes__each_alone__opens_just_its_own_operations(scope: Scope, api_with: Callable[..., Api]) -> None:
    caller = api_with(scope)

    for (method, path), enough in SCOPES.items():
        response = caller.call(method, path, {})
        assert (response.status_code != 403) == (scope in enough), (method, path, response.content)


def test_client_key__may_only_send_exposures(browser: Api) -> None:
    for method, path in SCOPES:
        response = browser.call(method, path, {"exposures": []} if path == "/catalog/exposures" else {})
        assert response.status_code == (200 if path == "/catalog/exposures" else 403), (method, path)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"X-API-Key": ""}, id="empty"),
        pytest.param({"X-API-Key": "wrong"}, id="wrong"),
        pytest.param({"X-API-Key": "test-server-key2"}, id="longer"),
        pytest.param({"X-API-Key": "test-server-ke"}, id="shorter"),
        pytest.param({"X-API-Key": "TEST-SERVER-KEY"}, id="other-case"),
        pytest.param({"X-API-Key": "k\xe9y"}, id="not-ascii"),
        pytest.param({"Authorization": "Bearer wrong"}, id="wrong-bearer"),
        pytest.param({"Authorization": "Basic dGVzdC1zZXJ2ZXIta2V5"}, id="basic"),
        pytest.param({"Authorization": "test-server-key"}, id="no-scheme"),
        pytest.param({"X-API-Key": "test-server-key", "Authorization": "Bearer other"}, id="two-that-differ"),
        pytest.param({"Cookie": "api_key=test-server-key; X-API-Key=test-server-key"}, id="cookie"),
    ],
)
def test_key__not_a_valid_one__is_401(nobody: Api, headers: dict[str, str]) -> None:
    problem_of(nobody.get("/catalog/experiments", **headers), 401, "invalid_api_key")


@pytest.mark.parametrize("name", ["api_key", "X-API-Key", "key", "access_token"])
def test_key__in_query_or_body__is_401(nobody: Api, name: str) -> None:
    problem_of(nobody.get(f"/catalog/experiments?{name}=test-server-key"), 401, "invalid_api_key")
    problem_of(nobody.post("/catalog/experiments", {name: "test-server-key"}), 401, "invalid_api_key")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": "test-server-key"},
        {"Authorization": "Bearer test-server-key"},
        {"Authorization": "bearer  test-server-key"},
        {"X-API-Key": "test-server-key", "Authorization": "Bearer test-server-key"},
    ],
)
def test_key__in_either_header__opens(nobody: Api, headers: dict[str, str]) -> None:
    assert nobody.get("/catalog/experiments", **headers).status_code == 200


def test_key__none_configured__opens_nothing(settings: Settings, db: None) -> None:
    settings.CHECKOUT_API_KEY = settings.STOREFRONT_CLIENT_KEY = ""

    for key in (None, "", "anything", "None"):
        problem_of(Api(key).get("/catalog/experiments"), 401, "invalid_api_key")


def test_key__revoked__is_401_on_the_next_request(db: None) -> None:
    caller = Api(issue_key("leaver", scopes=["read"]).secret)
    assert caller.get("/catalog/experiments").status_code == 200

    key = ApiKey.objects.get(name="leaver")
    key.revoked_at = key.created_at
    key.save()

    problem_of(caller.get("/catalog/experiments"), 401, "invalid_api_key")


def test_key__refused__appears_in_no_answer_and_no_log(nobody: Api, caplog: pytest.LogCaptureFixture) -> None:
    response = nobody.get("/catalog/experiments", **{"X-API-Key": "planted-secret"})

    assert b"planted-secret" not in response.content
    assert "planted-secret" not in caplog.text


def test_open_addresses__without_a_key__show_the_description_alone(nobody: Api) -> None:
    make_experiment(slug="secret-plan", variants=[])

    for address in OPEN:
        response = nobody.get(address)
        assert response.status_code == 200
        assert b"secret-plan" not in response.content
