"""HTTP: answers, events, live state, metrics and the page."""
