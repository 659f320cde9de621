"""The made-up order history: the same for the same seed, and importable as it is."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from catalog_experiments.models import Order, OrderOutcome
from storefront.demo import seed_demo
from storefront.demo.sample_orders import write_sample_orders

NOW = dt.datetime(2026, 3, 22, 12, 0, tzinfo=dt.UTC)


def test_sample_orders__same_seed__same_file(tmp_path: Path) -> None:
    first, second, other = (tmp_path / name for name in ("first.csv", "second.csv", "other.csv"))

    write_sample_orders(first, orders=50, seed=7, now=NOW)
    write_sample_orders(second, orders=50, seed=7, now=NOW)
    write_sample_orders(other, orders=50, seed=8, now=NOW)

    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes() != other.read_bytes()


@pytest.mark.django_db
def test_sample_orders__imported__feed_the_bundles(tmp_path: Path) -> None:
    seed_demo(now=NOW)
    path = tmp_path / "orders.csv"

    call_command("write_sample_orders", path, "--orders", "60", verbosity=0)
    call_command("import_orders", path, verbosity=0)

    assert Order.objects.filter(order_ref__startswith="sample-").count() == 60
    assert OrderOutcome.objects.filter(accepted=True).exists()
    assert OrderOutcome.objects.filter(accepted=False).exists()


def test_command__no_orders__says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="at least 1"):
        call_command("write_sample_orders", tmp_path / "orders.csv", "--orders", "0")


def test_command__folder_missing__says_which_file(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("write_sample_orders", tmp_path / "no" / "orders.csv")
