"""Window → scores: the model, the engines that run it, and the inference thread."""
