"""Every claim of the paper beside the log of 2012 and what was measured here."""
