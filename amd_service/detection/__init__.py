"""Recording → verdict: combines audio processing and the classifier."""
