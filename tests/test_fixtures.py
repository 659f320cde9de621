"""The fixture files: what the code says, loadable twice on an empty database, in every state."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from django.conf import LazySettings, settings
from django.core.management import CommandError, call_command

from catalog_experiments.models import Bundle, Experiment, VariantMetric
from storefront.models import Product
from storefront.qa import STATES, fixture_texts, stale_fixtures, write_fixtures

FOLDER = Path(settings.BASE_DIR) / "fixtures"
NAMES = ["qa_products", *STATES]


def test_files__in_the_project__say_what_the_code_says() -> None:
    assert stale_fixtures(FOLDER) == []
    assert {path.stem for path in FOLDER.glob("qa_*.json")} == set(NAMES)


def test_command__check__passes_now_and_fails_when_a_file_is_old(tmp_path: Path, settings: LazySettings) -> None:
    call_command("write_qa_fixtures", "--check")
    settings.BASE_DIR = tmp_path
    (tmp_path / "fixtures").mkdir()

    with pytest.raises(CommandError, match=r"qa_catalog\.json"):
        call_command("write_qa_fixtures", "--check")
    call_command("write_qa_fixtures")

    assert stale_fixtures(tmp_path / "fixtures") == []


def test_write__unchanged_files__writes_nothing(tmp_path: Path) -> None:
    assert len(write_fixtures(tmp_path)) == len(fixture_texts())
    assert write_fixtures(tmp_path) == []


@pytest.mark.django_db
@pytest.mark.parametrize("name", STATES)
def test_loaddata__one_state_twice__stands_there_once(name: str) -> None:
    slug, status = STATES[name]

    for _ in range(2):
        call_command("loaddata", name, verbosity=0)

    experiment = Experiment.objects.get()
    assert (experiment.slug, experiment.status) == (slug, status)
    assert Bundle.objects.count() == 2
    assert VariantMetric.objects.count() == (0 if status == "draft" else 2)


@pytest.mark.django_db
def test_loaddata__all_together__fit_each_other() -> None:
    call_command("loaddata", *NAMES, verbosity=0)
    call_command("loaddata", *reversed(NAMES), verbosity=0)

    assert set(Experiment.objects.values_list("status", flat=True)) == {"draft", "running", "paused", "completed"}
    assert Product.objects.count() == 2


@pytest.mark.django_db
def test_seed__after_loaddata__takes_the_loaded_rows_over() -> None:
    call_command("loaddata", *NAMES, verbosity=0)

    call_command("seed_bundle_experiments", verbosity=0, stdout=StringIO())

    assert Experiment.objects.filter(slug="qa-catalog").count() == 1
