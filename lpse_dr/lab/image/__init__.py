"""What is copied into the lab's hosts. Each file runs there by itself, without this package."""
