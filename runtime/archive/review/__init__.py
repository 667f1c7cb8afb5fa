"""What is looked at after a scan: samples and verdicts, estimates, mined windows, the report."""
