"""Archives: what is heard in any number of recordings, by one process or by many.

A scan is a job folder (job.py). Its recordings are listed once (listing/), cut into pieces that
never change (plan.py), and each piece is heard by whoever is free (piece.py) and written whole or
not at all. What is looked at afterwards is in review/.
"""
