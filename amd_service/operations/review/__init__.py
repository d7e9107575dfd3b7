"""Human review of verdicts: which calls are drawn, and the error rates that the answers imply."""
