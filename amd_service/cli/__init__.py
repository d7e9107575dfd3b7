"""The command line: one command a file.

A command's file holds its options; it imports its implementation when it runs, so that `--help` answers at once.
"""
