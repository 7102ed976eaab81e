"""`dchat audit`, the record of what was done to a node; `dchat export-user-data`, what a node has of somebody."""
