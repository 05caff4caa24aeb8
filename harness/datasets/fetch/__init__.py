"""The field's data sets on this machine: what is there, and how to get the rest."""
