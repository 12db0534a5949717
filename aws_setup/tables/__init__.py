"""Every step of the two scripts on AWS, in reading order; namenodes.step has whisk_helper.py's.

One module for each table: a command imports the steps that it can use and no others.
"""
