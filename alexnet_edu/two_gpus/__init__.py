"""One network in two columns, on two devices or in two processes (§3.2)."""
