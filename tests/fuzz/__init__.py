"""Damaged and hostile input of every kind: what comes out is a valid result or one error line.

`python -m tests.fuzz --minutes 10` looks for new faults, tests/test_fuzz.py repeats a short run of
the same. `seeds` are small and valid, `mutations` damage them, `targets` say what must hold of the
outcome, `rounds` run a target in a process of its own, where a crash, a hang, memory, descriptors
and words on stderr are noticed.
"""
