"""Measures what the audio says besides the model's scores: rhythm, beep, tones and music."""
