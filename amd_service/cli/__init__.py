"""The command line: one command per file.

The file of a command defines the options of the command. Each command imports its implementation only when the command
runs, so `--help` is fast.
"""
