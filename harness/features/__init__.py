"""Images to tensors to frozen features, and the cache that keeps them."""
