"""What is due by the clock: scheduled starts and ends, planned samples, next steps of ramps and phases of canaries.

A moment that passed while nothing ran is made up for once, at the next round; PostgreSQL says what is due, so any
number of workers may come by.
"""

from catalog_experiments.timetable.due import StepsFailed, TimetableResult, act_due
from catalog_experiments.timetable.moments import ACTOR

__all__ = ["ACTOR", "StepsFailed", "TimetableResult", "act_due"]
