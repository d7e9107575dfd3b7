"""Recording → one 16 kHz mono window of the called party. No I/O; numpy arrays in and out."""
