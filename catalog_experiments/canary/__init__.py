"""Is the measuring itself right? A/A comparisons say so: while one is red, every experiment's verdicts hold.

`calibration` splits past visitors at random again and again, `live` watches experiments whose variants are all the
same, `alarms` holds until a person acknowledges or a new phase of a canary stayed clean. It reads no other experiment's
results and writes none; `enforcement` reads whether an alarm stands, `timetable` renews the phases.
"""

from catalog_experiments.canary.alarms import AlarmIsOver, acknowledge
from catalog_experiments.canary.calibration import calibrate
from catalog_experiments.canary.live import CanaryRound, watch_canaries

__all__ = ["AlarmIsOver", "CanaryRound", "acknowledge", "calibrate", "watch_canaries"]
