"""The demo's three experiments: a healthy one, one whose variant does harm, and a draft ready to publish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from catalog_experiments.service import ExperimentSpec, VariantSpec
from storefront.demo.goods import CUP_PAYLOAD

HEALTHY, HARMFUL, DRAFT = "cup-and-saucer", "tea-set-for-guests", "slow-coffee-corner"


@dataclass(frozen=True)
class DemoExperiment:
    """An experiment of the demo and whether it goes live at once."""

    spec: ExperimentSpec
    is_published: bool


def experiments(owner_username: str | None) -> tuple[DemoExperiment, ...]:
    """Return the three experiments: a healthy one, one whose variant does harm, and a draft ready to publish."""
    healthy = ExperimentSpec(
        slug=HEALTHY,
        name="Cup and saucer: 10 % instead of 5 %",
        description="Does a deeper discount on the saucer win more pairs than it costs in margin?",
        hypothesis="Shoppers who hesitate over the saucer take it at 10 % off; the extra pairs pay for the discount.",
        guardrail_config={"min_acceptance_rate": 0.12},
        sample_size_guardrail=250,
        owner_username=owner_username,
        variants=_pair("cup-with-saucer", "cup-with-saucer-save10", CUP_PAYLOAD),
    )
    harmful = ExperimentSpec(
        slug=HARMFUL,
        name="Tea set: four bowls instead of two",
        description="Would people who buy the pot rather take the larger set?",
        hypothesis="A set for guests raises the order value, and as many take it.",
        guardrail_config={"min_acceptance_rate": 0.2},
        sample_size_guardrail=250,
        owner_username=owner_username,
        variants=_pair("teapot-two-bowls", "teapot-four-bowls", {"cta": "Add the tea set"}),
    )
    draft = ExperimentSpec(
        slug=DRAFT,
        name="Pour-over: beans with the dripper",
        description="Offer the house roast with the dripper, alone or with a mug.",
        hypothesis="The mug makes it a present, and presents sell before the holidays.",
        guardrail_config={"min_acceptance_rate": 0.1},
        sample_size_guardrail=250,
        owner_username=owner_username,
        variants=_pair("dripper-with-beans", "dripper-beans-mug", {"headline": "Everything for the first slow coffee"}),
    )
    return (
        DemoExperiment(healthy, is_published=True),
        DemoExperiment(harmful, is_published=True),
        DemoExperiment(draft, is_published=False),
    )


def _pair(control: str, test: str, payload: dict[str, Any]) -> tuple[VariantSpec, ...]:
    return (
        VariantSpec(
            key="control", name="Control", weight=50, is_control=True, bundle_slug=control, override_payload=payload
        ),
        VariantSpec(key="test", name="Test", weight=50, bundle_slug=test, override_payload=payload),
    )
