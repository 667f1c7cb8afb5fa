"""The robustness card: how far a bundle's answers hold, measured at the precision it ships."""
