"""The stored state of calls, and the rules on it. Functions take a session and never commit."""
