"""The embedded broker, and Celery on it."""

from __future__ import annotations

from pathlib import Path

import pytest
from celery.exceptions import QueueNotFound

from smplat.celery import app
from smplat.embedded.broker import Broker, BrokerError
from tests.processes import running


def test_broker__started__answers_until_it_is_stopped_and_leaves_no_folder(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "a folder")

    with running(broker.command(), log=tmp_path / "log"):
        broker.wait()
        assert broker.is_running()

    assert not broker.is_running()
    broker.forget()
    assert not broker.address.parent.exists()


def test_wait__nobody_answers__raises(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="does not answer"):
        Broker(tmp_path).wait(seconds=0.1)


def test_send_task__guardrail_evaluation__lies_in_the_control_queue(broker: Broker) -> None:
    app.control.purge()

    app.send_task("catalog_experiments.tasks.run_guardrail_evaluation")

    with app.connection_for_read() as connection:
        message = app.amqp.queues["control"].bind(connection.default_channel).get(no_ack=True)
    assert message is not None
    assert message.headers["task"] == "catalog_experiments.tasks.run_guardrail_evaluation"


def test_send_task__mistyped_queue__raises(broker: Broker) -> None:
    with pytest.raises(QueueNotFound):
        app.send_task("catalog_experiments.tasks.run_backfill", queue="blk")
