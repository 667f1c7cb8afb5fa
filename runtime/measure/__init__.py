"""What is measured of an engine on a device: time, memory, thresholds, what it lacks."""
