"""``python -m fastmlp.demo``: a page to draw digits on, and to watch a network learn them."""
