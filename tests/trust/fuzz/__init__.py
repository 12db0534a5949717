"""Fuzzing: what others can write (files, answers, configurations), damaged by seed.

Whatever the input is, the outcome is a value or a SetupError with cause and fix, within a second of
CPU time; a refusal writes nothing, and no control character reaches what is shown.
"""
