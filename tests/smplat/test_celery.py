"""Celery's settings: the rules that keep work from being lost, run twice or left waiting."""

from __future__ import annotations

import pytest
from django.conf import settings

from smplat.celery import app


@pytest.mark.parametrize(
    ("task", "queue"),
    [
        ("catalog_experiments.tasks.run_guardrail_evaluation", "control"),
        ("notifications.tasks.deliver_due_alerts", "control"),
        ("catalog_experiments.tasks.run_aggregation", "bulk"),
        ("catalog_experiments.tasks.run_backfill", "bulk"),
    ],
)
def test_routes__each_task__goes_to_its_queue(task: str, queue: str) -> None:
    assert app.amqp.router.route({}, task)["queue"].name == queue


def test_limits__killed_work__is_redelivered_only_after_it_must_have_ended() -> None:
    assert app.conf.task_soft_time_limit < app.conf.task_time_limit
    assert app.conf.broker_transport_options["visibility_timeout"] > 3 * app.conf.task_time_limit


def test_work__child_lost__returns_to_the_queue() -> None:
    assert app.conf.task_acks_late
    assert app.conf.task_reject_on_worker_lost
    assert app.conf.worker_prefetch_multiplier == 1


def test_messages__only_json__and_results_nowhere() -> None:
    assert app.conf.accept_content == ["json"]
    assert app.conf.task_ignore_result
    assert app.conf.result_backend is None


def test_schedule__lives_in_the_database_alone() -> None:
    assert app.conf.beat_scheduler == "django_celery_beat.schedulers:DatabaseScheduler"
    assert not app.conf.beat_schedule
    assert settings.DJANGO_CELERY_BEAT_TZ_AWARE
