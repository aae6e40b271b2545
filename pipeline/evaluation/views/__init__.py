"""Pictures of what happens inside a network, for people: PNG files with their captions in them."""
