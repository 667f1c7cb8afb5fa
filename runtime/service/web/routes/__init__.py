"""One file per family of routes; parts.py beside this folder holds what they share."""
