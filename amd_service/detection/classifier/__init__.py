"""Window → scores: the model, the engines that run it, and the one thread they run on."""
