"""The strict JSON reader: what is doubtful is refused with its own code, and nothing else goes wrong."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import UnsupportedMediaType

from catalog_experiments.api.parsers import (
    BodyTooLarge,
    IntakeJSONParser,
    Limits,
    MalformedBody,
    StrictJSONParser,
    read_json,
)

ROOM = Limits(size=1_000_000, keys=2_000)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


HOSTILE = {
    "empty": (b"", "malformed_json"),
    "cut-off": (b'{"slug": "a', "malformed_json"),
    "trailing-comma": (b'{"a": 1,}', "malformed_json"),
    "two-values": (b"{} {}", "malformed_json"),
    "single-quotes": (b"{'a': 1}", "malformed_json"),
    "byte-order-mark": (b"\xef\xbb\xbf{}", "malformed_json"),
    "bare-control-character": (b'{"a": "\x01"}', "malformed_json"),
    "raw-nul": (b'{"a": "\x00"}', "malformed_json"),
    "underscore-in-number": (b'{"a": 1_000}', "malformed_json"),
    "arabic-digits": ('{"a": ٣}'.encode(), "malformed_json"),
    "hexadecimal": (b'{"a": 0x10}', "malformed_json"),
    "leading-zero": (b'{"a": 01}', "malformed_json"),
    "latin-1": (b'{"a": "\xe9"}', "not_utf8"),
    "utf-16": ('{"a": 1}'.encode("utf-16"), "not_utf8"),
    "encoded-surrogate": (b'{"a": "\xed\xa0\x80"}', "not_utf8"),
    "same-key-twice": (b'{"a": 1, "a": 2}', "duplicate_key"),
    "same-key-by-escape": (b'{"a": 1, "\\u0061": 2}', "duplicate_key"),
    "same-key-deep-inside": (b'{"x": [{"a": 1, "a": 2}]}', "duplicate_key"),
    "nan": (b'{"a": NaN}', "not_a_number"),
    "infinity": (b'{"a": Infinity}', "not_a_number"),
    "minus-infinity": (b'{"a": -Infinity}', "not_a_number"),
    "float-too-large": (b'{"a": 1e400}', "number_out_of_range"),
    "float-past-64-bits": (b'{"a": 1e19}', "number_out_of_range"),
    "integer-past-64-bits": (b'{"a": 9223372036854775808}', "number_out_of_range"),
    "integer-of-5000-digits": (b'{"a": ' + b"9" * 5_000 + b"}", "number_out_of_range"),
    "negative-of-5000-digits": (b'{"a": -' + b"9" * 5_000 + b"}", "number_out_of_range"),
    "same-key-after-1999-others": (
        json.dumps({str(number): 1 for number in range(1_999)}).encode()[:-1] + b', "7": 1}',
        "duplicate_key",
    ),
    "33-levels": (nested(33), "too_deep"),
    "100000-levels": (nested(100_000), "too_deep"),
    "deep-objects": (b'{"a":' * 33 + b"1" + b"}" * 33, "too_deep"),
    "2001-keys": (json.dumps({str(number): number for number in range(2_001)}).encode(), "too_many_keys"),
    "2001-keys-spread": (json.dumps([{"a": number} for number in range(2_001)]).encode(), "too_many_keys"),
    "escaped-nul": (rb'{"a": "\u0000"}', "invalid_text"),
    "escaped-nul-in-key": (rb'{"\u0000": 1}', "invalid_text"),
    "lone-high-surrogate": (rb'{"a": "\ud800"}', "invalid_text"),
    "lone-low-surrogate": (rb'{"a": ["\uDFFF"]}', "invalid_text"),
}


@pytest.mark.parametrize(("raw", "code"), HOSTILE.values(), ids=HOSTILE.keys())
def test_read_json__hostile_body__is_refused_with_its_code(raw: bytes, code: str) -> None:
    with pytest.raises(MalformedBody) as refused:
        read_json(raw, ROOM)

    assert refused.value.get_codes() == code
    assert len(str(refused.value.detail)) < 200


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        pytest.param(rb'{"a": "\ud83d\ude00"}', {"a": "😀"}, id="surrogate-pair"),
        pytest.param(rb'{"a": "\\u0000"}', {"a": "\\u0000"}, id="escaped-backslash"),
        pytest.param(nested(32), json.loads(nested(32)), id="32-levels"),
        pytest.param(b"9223372036854775807", 2**63 - 1, id="largest-integer"),
        pytest.param(b"-9223372036854775808", -(2**63), id="smallest-integer"),
        pytest.param(b"1e18", 1e18, id="large-float"),
        pytest.param('{"é": "ü"}'.encode(), {"é": "ü"}, id="utf-8"),
        pytest.param(b'{"a": {"a": 1}}', {"a": {"a": 1}}, id="same-key-in-two-objects"),
    ],
)
def test_read_json__unusual_but_valid__is_read(raw: bytes, value: object) -> None:
    assert read_json(raw, ROOM) == value


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_read_json__any_bytes__raise_nothing_undeclared(raw: bytes) -> None:
    try:
        value = read_json(raw, ROOM)
    except MalformedBody:
        return

    assert value == json.loads(raw)


JSON_TEXTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1e18, 1e18) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(JSON_TEXTS)
def test_read_json__storable_value__survives_the_round_trip(value: Any) -> None:
    text = json.dumps(value)

    if "\\u0000" in text:
        return
    assert read_json(text.encode(), ROOM) == value


def test_parse__one_byte_too_many__is_too_large() -> None:
    body = b'"' + b"a" * (StrictJSONParser.limits.size - 2) + b'"'

    assert StrictJSONParser().parse(io.BytesIO(body)) == body[1:-1].decode()
    with pytest.raises(BodyTooLarge):
        StrictJSONParser().parse(io.BytesIO(body + b" "))


@pytest.mark.parametrize("charset", ["utf-16", '"latin-1"', "UTF-32"])
def test_parse__another_charset__is_unsupported(charset: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        StrictJSONParser().parse(io.BytesIO(b"{}"), media_type=f"application/json; charset={charset}")


def test_intake_parser__a_thousand_full_items__fit() -> None:
    item = dict.fromkeys(("experiment", "unit_id", "variant_key", "exposed_at", "phase"), "x" * 40)
    body = json.dumps({"exposures": [item | {"segments": {"device": "phone"}}] * 1_000}).encode()

    parsed = IntakeJSONParser().parse(io.BytesIO(body))

    assert isinstance(parsed, dict)
    assert len(parsed["exposures"]) == 1_000


@pytest.mark.parametrize(
    "raw",
    [b'{"a":1,"a" :2}', b'{"a"\n:1,"a"\t:2}', b'{"a":"\\":","a":2}', b'{"a":{"b":1},"a":" :"}', b'{"a":1, "a": 2}'],
    ids=["one-blank", "two-blanks", "text-like-a-key", "text-with-blank", "spaced"],
)
def test_read_json__key_twice_however_it_is_written__is_never_overlooked(raw: bytes) -> None:
    with pytest.raises(MalformedBody) as refused:
        read_json(raw, StrictJSONParser.limits)

    assert refused.value.get_codes() == "duplicate_key"
