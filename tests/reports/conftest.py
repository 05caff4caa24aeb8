"""Lets `reports` be found beside this folder of the same name."""

import sys
from pathlib import Path

# pytest puts `tests` on the path, where this folder would pass for a namespace package `reports`;
# a regular package anywhere on the path comes first.
sys.path.append(str(Path(__file__).parents[2]))
