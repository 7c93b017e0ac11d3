"""How strongly an adversary's gradient counts at the image; importing a file registers its weights."""
