"""Scenes with known beeps and tones, to measure how well the evidence is found."""
