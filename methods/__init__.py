"""Methods: one file each. A method sees a `harness.task.Task` and gives back a `Classifier`."""
