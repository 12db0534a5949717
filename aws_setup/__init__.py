"""λFS on AWS: what the three scripts share.

scripts -> cli -> steps, plan, runner -> resources/ hosts/ cluster/ whisk/ -> session, waiting,
config/, errors. An import goes to the right only; tests/test_layers.py holds it so.
"""
