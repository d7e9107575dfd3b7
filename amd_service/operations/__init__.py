"""Use cases, one a file. An operation owns its transactions and takes its dependencies as arguments."""
