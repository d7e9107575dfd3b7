"""Claims recordings, has them judged, settles the result."""
