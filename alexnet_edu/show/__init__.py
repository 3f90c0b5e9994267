"""Numbers in, pictures out: drawings, and explorers made of them."""
