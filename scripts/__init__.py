"""Programs around the project; run from the checkout with `python -m scripts.NAME`."""
