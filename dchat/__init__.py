"""The program: the application composed, its configuration, the node, its doors, and what a person touches."""
