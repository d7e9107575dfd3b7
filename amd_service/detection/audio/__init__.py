"""Bytes of a recording to one 16 kHz mono window of the called party. No I/O; numpy in and out."""
