"""Where composites go, one kind a file."""
