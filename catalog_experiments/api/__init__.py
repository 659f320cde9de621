"""The HTTP face: each view translates a request, makes one domain call, and translates the answer."""
