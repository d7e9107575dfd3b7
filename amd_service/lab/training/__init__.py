"""Fine-tunes a Wav2Vec2 classifier on labelled recordings: `amd-service train`.

`fitting.py` runs transformers' Trainer on any model and any windows. `fine_tuning.py` is the whole command: it reads
the dataset, starts from a checkpoint, trains, calibrates, and writes the model folder.
"""
