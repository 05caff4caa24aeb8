"""Frozen few-shot data sets (`<name>.npz`, `index.json`) and the program that drew them."""
