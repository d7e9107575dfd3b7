"""Offline work on models: speech synthesis, datasets, training, evaluation, engine export, test fixtures."""
