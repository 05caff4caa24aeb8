"""Results on disk: typed records, whole files or none."""
