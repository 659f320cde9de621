"""Decides for many visitors with GrowthBook's Python SDK: a question on stdin, one list of results per visitor out."""

from __future__ import annotations

import json
import sys
from typing import Any

from growthbook import GrowthBook


def decide(question: dict[str, Any]) -> list[list[tuple[Any, ...]]]:
    """Return source, rule, variant and value for each visitor and feature, from the payload at the given address."""
    client = GrowthBook(api_host=question["address"], client_key=question["clientKey"])
    client.load_features()
    results: list[list[tuple[Any, ...]]] = []
    for attributes in question["visitors"]:
        client.set_attributes(attributes)
        found = [client.eval_feature(feature) for feature in question["features"]]
        results.append([(one.source, one.ruleId, key_of(one.experimentResult), one.value) for one in found])
    client.destroy()
    return results


def key_of(result: Any) -> str:
    """Return the variant an experiment assigned, '' when none took place."""
    return result.key if result is not None else ""


if __name__ == "__main__":
    json.dump(decide(json.load(sys.stdin)), sys.stdout)
