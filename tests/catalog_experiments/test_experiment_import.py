"""Finished experiments from files: replayed through the usual intake, completed, and reported like any other."""

import datetime as dt
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from catalog_experiments.csv_files import UnreadableFile
from catalog_experiments.drafting import InvalidExperiment
from catalog_experiments.experiment_import import (
    AlreadyImported,
    ExperimentFormat,
    ExperimentImportResult,
    import_experiment,
)
from catalog_experiments.models import Experiment, Exposure, Order, PhaseOrigin
from catalog_experiments.units import digest_unit
from tests.builders import NOON, make_experiment

pytestmark = pytest.mark.django_db

START = dt.date(2026, 1, 5)


def write(folder: Path, *lines: str, header: str = "unit,variant,outcome,revenue,at") -> Path:
    path = folder / "experiment.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def sixty_units(folder: Path) -> Path:
    """Write 30 units a variant; 6 of the old and 12 of the new succeed with 10.50 each."""
    return write(
        folder,
        *(
            f"{name} {number},{name},{int(number < successes)},{'10.50' if number < successes else ''},"
            for name, successes in (("Old way", 6), ("New way", 12))
            for number in range(30)
        ),
    )


def load(path: Path, **overrides: Any) -> ExperimentImportResult:
    options: dict[str, Any] = {
        "slug": "mailing",
        "control": "Old way",
        "now": NOON,
        "start": START,
        "form": ExperimentFormat(revenue_column="revenue", currency="USD"),
    }
    return import_experiment(path, **(options | overrides))


def test_import__replays_the_file_and_completes_the_experiment(tmp_path: Path) -> None:
    result = load(sixty_units(tmp_path))

    experiment = Experiment.objects.get()
    phase = experiment.current_phase
    assert phase is not None
    assert (experiment.status, experiment.slug, result.outcomes) == ("completed", "mailing", 18)
    assert (phase.origin, phase.currency, phase.number) == (PhaseOrigin.IMPORTED, "USD", 1)
    assert phase.opened_at == dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
    assert phase.closed_at == dt.datetime(2026, 1, 13, 1, tzinfo=dt.UTC)
    assert result.units == {"old-way": 30, "new-way": 30}
    assert Exposure.objects.filter(unit=digest_unit("Old way 0"), variant_key="old-way").exists()
    assert Order.objects.count() == 18


def test_import__reports_every_unit_as_complete(tmp_path: Path) -> None:
    control, test = load(sixty_units(tmp_path)).report.variants

    means = {metric.metric: (metric.n, metric.mean) for metric in test.metrics}
    assert (control.name, control.is_control, control.exposed_count) == ("Old way", True, 30)
    assert means["conversion"] == (30, 12 / 30)
    assert means["revenue"] == (30, 12 * 1050 / 30)


def test_import__stores_no_raw_unit(tmp_path: Path) -> None:
    load(sixty_units(tmp_path))

    assert not Order.objects.filter(order_ref__contains="way").exists()


def test_import__with_times__opens_at_the_first_and_ends_after_the_last_window(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "1,a,1,,2026-01-10T10:00:00+01:00",
        "2,b,0,,2026-01-12T23:59:00",
        "3,a,0,,2026-01-11",
        "4,b,1,,2026-01-11",
    )

    load(path, control="a", start=None, form=ExperimentFormat(time_column="at"))

    phase = Experiment.objects.get().current_phase
    assert phase is not None
    assert phase.opened_at == dt.datetime(2026, 1, 10, 9, tzinfo=dt.UTC)
    assert phase.closed_at == dt.datetime(2026, 1, 20, 1, tzinfo=dt.UTC)


def test_import__of_a_unit_in_two_variants__leaves_it_out_and_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, "1,a,1,,", "1,b,0,,", "2,a,0,,", "3,b,0,,")

    result = load(path, control="a", form=ExperimentFormat())

    assert result.mixed_units == 1
    assert [variant.exposed_count for variant in result.report.variants] == [1, 1]


def test_import__without_a_unit_column__takes_each_line_for_one(tmp_path: Path) -> None:
    path = write(tmp_path, "a,1", "a,0", "b,1", header="variant,outcome")

    result = load(path, control="a", form=ExperimentFormat(unit_column=""))

    assert [variant.exposed_count for variant in result.report.variants] == [2, 1]


def test_import__broken_off_between__is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sixty_units(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr("catalog_experiments.experiment_import.runs.aggregate_experiments", _break)
        with pytest.raises(ConnectionError):
            load(path)

    result = load(path)

    assert (Exposure.objects.count(), Order.objects.count()) == (60, 18)
    assert result.experiment.status == "completed"


def _break(*arguments: object, **options: object) -> None:
    raise ConnectionError


def test_import__of_a_taken_slug__is_refused(tmp_path: Path) -> None:
    make_experiment(slug="mailing")

    with pytest.raises(AlreadyImported):
        load(sixty_units(tmp_path))


def test_import__run_again__is_refused(tmp_path: Path) -> None:
    path = sixty_units(tmp_path)
    load(path)

    with pytest.raises(AlreadyImported):
        load(path)


@pytest.mark.parametrize(
    ("lines", "overrides", "message"),
    [
        (["1,a,1,,", "2,b,0,,"], {"control": "c"}, "needs the control 'c'"),
        (["1,a,1,,"], {"control": "a"}, "and another variant"),
        (["1,a,maybe,,", "2,b,0,,"], {"control": "a"}, "line 2: 'maybe' is no outcome"),
        (["1,a,0,5,", "2,b,0,,"], {"control": "a"}, "line 2: it has revenue and no outcome"),
        (["1,a,1,-5,", "2,b,0,,"], {"control": "a"}, "less than nothing"),
        (["1,a,1,x,", "2,b,0,,"], {"control": "a"}, "'x' is no amount"),
        ([",a,1,,", "2,b,0,,"], {"control": "a"}, "no unit"),
        (["1,a,1,,dawn", "2,b,0,,"], {"control": "a", "form": ExperimentFormat(time_column="at")}, "'dawn' is no time"),
        (["1,a,1,,", "2,b,0,,"], {"control": "a", "start": None}, "has no times"),
        (["1,a,1,,", "2,b,0,,"], {"control": "a", "start": dt.date(2026, 3, 1)}, "last windows end at 2026-03-09"),
        (["1,a,1,,", "2,b,0,,"], {"control": "a", "form": ExperimentFormat(time_column="when")}, "no column 'when'"),
    ],
)
def test_import__of_a_file_that_does_not_fit__says_why_and_stores_nothing(
    tmp_path: Path, lines: list[str], overrides: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnreadableFile) as error:
        load(write(tmp_path, *lines), **overrides)

    assert message in str(error.value)
    assert not Experiment.objects.exists()


def test_import__with_a_slug_that_cannot_stand_in_a_path__is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidExperiment):
        load(sixty_units(tmp_path), slug="a/b")


def test_command__prints_the_report(tmp_path: Path) -> None:
    output = StringIO()
    options = [
        "--slug=mailing",
        "--control=Old way",
        "--start=2026-01-05",
        "--revenue-column=revenue",
        "--currency=USD",
    ]

    call_command("import_experiment", str(sixty_units(tmp_path)), *options, stdout=output)

    text = output.getvalue()
    assert text.startswith("mailing: 60 units, 18 outcomes, 0 units in two variants\nOld way: 30 units (control)\n")
    assert "  conversion 40.00 %, difference +20.00 %" in text
    assert "  revenue 4.2000 USD, difference +2.1000 USD" in text


def test_command__of_a_bad_file__exits_with_one(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="needs the control") as error:
        call_command("import_experiment", str(sixty_units(tmp_path)), "--slug=a", "--control=c", "--start=2026-01-05")

    assert error.value.returncode == 1


def test_command__start_that_is_no_day__says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="'yesterday' is no day; write it like 2026-01-05"):
        call_command("import_experiment", str(sixty_units(tmp_path)), "--slug=a", "--control=c", "--start=yesterday")
