"""HTTP and WebSockets: requests in, responses out. Transactions and rules are in `operations`."""
