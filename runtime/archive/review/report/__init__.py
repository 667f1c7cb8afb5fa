"""The report of a scan: one page that says first what was not heard (write.py begins it).

A scan's tables are read once, in batches, into counts and a few clips (counts.py, recordings.py,
sheet.py): memory grows with days, places and questions, not with rows. Then they are drawn
(charts.py) and written (page.py) as markup that escapes whatever it is not told to be its own
(markup.py).
"""
