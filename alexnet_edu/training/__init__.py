"""The loop, the update rule of §5, and when its rate falls. Knows no model and no data set."""
