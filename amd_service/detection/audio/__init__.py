"""Turns a recording into a 16 kHz mono window of the called party. Does no I/O."""
