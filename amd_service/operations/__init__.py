"""Use cases, one per file. An operation opens its transactions and gets its dependencies as arguments."""
