"""Hostile requests at every door: always a problem document with a 4xx, and not one row changed."""

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog_experiments.models import Experiment
from tests.builders import make_bundle, make_experiment, make_running_experiment
from tests.catalog_experiments.api.conftest import Api, json_of
from tests.catalog_experiments.api.test_parsers import HOSTILE

WRITES = [
    ("POST", "/catalog/experiments"),
    ("PUT", "/catalog/experiments/cup-saucer"),
    ("POST", "/catalog/experiments/cup-saucer/publish"),
    ("POST", "/catalog/experiments/cup-saucer/pause"),
    ("POST", "/catalog/experiments/cup-saucer/complete"),
    ("POST", "/catalog/experiments/cup-saucer/clone"),
    ("POST", "/catalog/bundles/"),
    ("PATCH", "/catalog/bundles/cup-saucer-test"),
    ("POST", "/catalog/exposures"),
    ("POST", "/catalog/orders"),
]
BATCHES = ("/catalog/exposures", "/catalog/orders")


@pytest.fixture
def world(db: None) -> Experiment:
    """A running experiment that every write could harm."""
    return make_running_experiment()


def refused(response: Any) -> dict[str, Any]:
    """Check that the answer is a 4xx problem that shows nothing of the inside, and return it."""
    assert 400 <= response.status_code < 500, (response.status_code, response.content[:500])
    assert response.headers["Content-Type"] == "application/problem+json"
    text = response.content.decode().lower()
    for trace in ("traceback", "psycopg", "select ", "insert ", "catalog_bundle", "<html", "django", 'file "'):
        assert trace not in text, text
    problem: dict[str, Any] = json_of(response)
    assert {"type", "title", "status", "detail", "code", "request_id"} <= set(problem)
    return problem


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_hostile_json__at_every_write__is_refused_and_changes_nothing(
    api: Api, world: Experiment, fingerprint: Callable[[], str], method: str, path: str
) -> None:
    before = fingerprint()

    for name, (raw, code) in HOSTILE.items():
        if name in ("empty", "2001-keys", "2001-keys-spread"):
            continue
        assert refused(api.call(method, path, raw))["code"] == code, name

    assert fingerprint() == before


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_hostile_envelope__at_every_write__is_refused_and_changes_nothing(
    api: Api, world: Experiment, fingerprint: Callable[[], str], method: str, path: str
) -> None:
    before = fingerprint()
    huge = 1_000_001 if path in BATCHES else 256_001
    envelopes: list[tuple[bytes, dict[str, str], int]] = [
        (b" " * huge, {}, 413),
        (b'{"a": "' + b"x" * huge + b'"}', {}, 413),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"a=1", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b"--x--", {"Content-Type": "multipart/form-data; boundary=x"}, 415),
        (b"<a/>", {"Content-Type": "application/xml"}, 415),
        (b"{}", {"Content-Type": "application/json; charset=utf-16"}, 415),
        (b"{}", {"Content-Type": "application/jsonx"}, 415),
        (b"{}", {"Content-Encoding": "gzip"}, 415),
    ]

    for raw, headers, status in envelopes:
        problem = refused(api.call(method, path, raw, **headers))
        assert problem["status"] == status, headers
        assert status != 415 or "Send " in problem["detail"], "the answer names the remedy"

    assert fingerprint() == before


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_body_in_chunks__which_the_server_would_drop__answers_411(
    api: Api, world: Experiment, fingerprint: Callable[[], str], method: str, path: str
) -> None:
    before = fingerprint()

    response = api.call(method, path, **{"Transfer-Encoding": "chunked"})

    assert refused(response)["code"] == "length_required"
    assert fingerprint() == before


@pytest.mark.parametrize(
    "headers",
    [
        {"X-HTTP-Method-Override": "DELETE"},
        {"X-Method-Override": "DELETE"},
        {"X-HTTP-Method": "DELETE"},
    ],
)
def test_method_override__has_no_effect(
    api: Api, world: Experiment, fingerprint: Callable[[], str], headers: dict[str, str]
) -> None:
    draft = make_experiment(slug="draft", variants=[])
    before = fingerprint()

    assert api.get(f"/catalog/experiments/{draft.slug}", **headers).status_code == 200
    refused(api.post(f"/catalog/experiments/{draft.slug}", {"_method": "DELETE"}, **headers))

    assert fingerprint() == before


def undeclared() -> Iterator[tuple[str, str]]:
    """Yield methods that an address does not answer."""
    for path in ("/catalog/experiments", "/catalog/experiments/cup-saucer", "/catalog/experiments/cup-saucer/publish"):
        for method in ("OPTIONS", "TRACE", "PATCH", "CONNECT", "PROPFIND", "GETT"):
            yield method, path
    yield "DELETE", "/catalog/experiments"
    yield "PUT", "/catalog/experiments/cup-saucer/publish"
    yield "GET", "/catalog/exposures"


@pytest.mark.parametrize(("method", "path"), [*undeclared()])
def test_undeclared_method__answers_405(
    api: Api, world: Experiment, fingerprint: Callable[[], str], method: str, path: str
) -> None:
    before = fingerprint()

    response = api.call(method, path, {})

    assert refused(response)["code"] == "method_not_allowed"
    assert response.headers["Allow"]
    assert fingerprint() == before


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "*/*;q=0", "nonsense", "application/problem+json"])
def test_accept__whatever_it_asks__answers_json(api: Api, world: Experiment, accept: str) -> None:
    response = api.get("/catalog/experiments/cup-saucer", Accept=accept)

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert refused(api.get("/catalog/experiments/ghost", Accept=accept))["status"] == 404


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = {
    "/catalog/experiments": ["slug", "name", "variants", "guardrail_config", "coverage", "targeting", "forced_units"],
    "/catalog/experiments/cup-saucer": ["name", "variants", "guardrail_config", "status", "targeting", "coverage"],
    "/catalog/bundles/": ["bundleSlug", "primaryProductSlug", "title", "components", "metadata", "cmsOverride"],
    "/catalog/exposures": ["exposures"],
    "/catalog/orders": ["orders"],
}
ITEM_FIELDS = ["experiment", "unit_id", "variant_key", "exposed_at", "phase", "segments", "order_ref", "placed_at"]
ITEM_FIELDS += ["currency", "lines", "status", "offers", "accepted_bundles", "refunded_minor", "cancelled_at", "key"]
SHAPES = st.dictionaries(st.sampled_from([*ITEM_FIELDS, "min_acceptance_rate", "$or", "slug", "quantity"]), JSON_VALUES)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_json__at_every_write__is_never_a_fault_of_ours(api: Api, world: Experiment, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(FIELDS)))
    value = JSON_VALUES | st.lists(SHAPES, max_size=3) | SHAPES
    body = data.draw(st.dictionaries(st.sampled_from(FIELDS[path]), value, min_size=1))
    method = "PUT" if path.endswith("saucer") else "POST"

    response = api.call(method, path, orjson.dumps(_sendable(body)))

    assert response.status_code < 500, response.content


def _sendable(value: Any) -> Any:
    """Return the value with numbers and texts that JSON can carry; what it can't has its own tests."""
    if isinstance(value, dict):
        return {_sendable(key): _sendable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_sendable(inner) for inner in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return max(-(2**63), min(value, 2**63 - 1))
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def test_stored_oddities__are_shown_not_stumbled_over(api: Api, db: None) -> None:
    make_bundle(metadata={"large": 10**30, "tiny": 1e-300})
    make_experiment(slug="odd", variants=[], guardrail_config={"min_acceptance_rate": "broken"})

    assert api.get("/catalog/bundles/cup-and-saucer").status_code == 200
    assert api.get("/catalog/experiments/odd").status_code == 200
    assert refused(api.post("/catalog/experiments/odd/evaluate"))["code"] == "guardrails_invalid"
