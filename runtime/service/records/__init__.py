"""What is kept: events, presence of the last days, verdicts."""
