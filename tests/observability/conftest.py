"""Puts this folder on the path, so that tests share promql.py and system.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
