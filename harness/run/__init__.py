"""Running one cell: the only code that fits a method and the only code that scores it."""
