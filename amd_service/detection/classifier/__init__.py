"""Turns a window into scores: the model, the engines that run the model, and the inference thread."""
