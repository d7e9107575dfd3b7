"""HTTP and WebSocket handlers. Transactions and business rules are in `operations`."""
