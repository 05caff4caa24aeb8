"""The contract of a method, as checks that run on any `Method` class in seconds.

`harness test path/to/file.py:Class` prints them; the project's own tests run them over every
method. What a method is handed is read only: one that writes into a tensor of the task or the
batch fails. Leaving `restore` out is no failure. A Config may carry two class attributes for this
purpose:

    quick     overrides under which a few seconds suffice to learn an easy task
    identity  overrides under which the method is the frozen model; without it zero `steps` or
              `epochs` are tried, where the Config has such a field
"""

from harness.contract.run import Check, run_contract

__all__ = ["Check", "run_contract"]
