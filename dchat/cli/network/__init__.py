"""`dchat network`, the peers of a running node; `dchat admin`, who administers it and what they change."""
