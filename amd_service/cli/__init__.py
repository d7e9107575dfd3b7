"""The command line: one command per file.

A command's file holds the options. The function imports the implementation only when the command runs, so `--help` is
fast.
"""
