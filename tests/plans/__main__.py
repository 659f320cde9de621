"""Write the page of the plans anew: run the product at a million exposures and look (`make plans`)."""

from __future__ import annotations

import os
import sys

import pytest

os.environ["WRITE_QUERY_PLANS"] = "1"
sys.exit(pytest.main(["tests/plans", "-p", "no:randomly", "-q"]))
