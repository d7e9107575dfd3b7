"""What we know about calls: Postgres, and nothing but Postgres. Functions take a session and never commit."""
