"""What a launch consists of, read once for all checks: the wanted experiment, its bundles, their acceptance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from catalog_experiments.drafting.specification import ExperimentSpec, VariantSpec, wanted_spec
from catalog_experiments.models import Bundle, BundleAcceptanceMetric, Experiment

BUNDLES_URL = "/admin/catalog_experiments/bundle/"
JOBS_URL = "/admin/catalog_experiments/jobrun/"

Outcome = Literal["pass", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the checklist: a stable code, the outcome, a sentence for people, and where to put it right."""

    code: str
    outcome: Outcome
    sentence: str
    fix_url: str


@dataclass(frozen=True, slots=True)
class Launch:
    """The experiment as the next publish would make it; `bundles` by slug, `acceptance` the newest row by slug."""

    experiment: Experiment
    spec: ExperimentSpec
    bundles: dict[str, Bundle]
    acceptance: dict[str, BundleAcceptanceMetric]
    now: datetime

    @property
    def edit_url(self) -> str:
        """The form of the experiment."""
        return f"/admin/merchandising/bundles/{self.experiment.slug}/edit"

    @property
    def control(self) -> VariantSpec | None:
        """The control, None when there is none or more than one."""
        controls = [variant for variant in self.spec.variants if variant.is_control]
        return controls[0] if len(controls) == 1 else None

    @property
    def pages(self) -> list[str]:
        """The product pages of the offered bundles, in order; one in a sound experiment."""
        return sorted({bundle.primary_product_slug for bundle in self.bundles.values()})

    def passed(self, code: str, sentence: str) -> Check:
        """Return a passed check."""
        return Check(code, "pass", sentence, self.edit_url)

    def found(self, code: str, faults: Iterable[str], sound: str, *, outcome: Outcome, fix_url: str = "") -> Check:
        """Return a check that passes with the sentence `sound`, or names every fault."""
        if named := " ".join(faults):
            return Check(code, outcome, named, fix_url or self.edit_url)
        return self.passed(code, sound)


def read_launch(experiment: Experiment, *, now: datetime) -> Launch:
    """Read everything the checks need, in a fixed number of queries."""
    spec = wanted_spec(experiment)
    slugs = [variant.bundle_slug for variant in spec.variants if variant.bundle_slug]
    bundles = {bundle.bundle_slug: bundle for bundle in Bundle.objects.filter(bundle_slug__in=slugs)}
    rows = BundleAcceptanceMetric.objects.filter(bundle__bundle_slug__in=slugs).select_related("bundle")
    acceptance = {row.bundle.bundle_slug: row for row in rows.order_by("computed_at", "-lookback_days")}
    return Launch(experiment, spec, bundles, acceptance, now)
