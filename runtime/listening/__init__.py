"""Listening for hours: from a source's blocks to windows, answers, events and clips."""
