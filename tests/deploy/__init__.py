"""What deploy/ holds, each checked by its own tool, and tried as far as a machine without a container engine can."""
