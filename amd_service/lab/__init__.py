"""Offline work on recordings: rendering speech, training, evaluation, fixtures, replay."""
