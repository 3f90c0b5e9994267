"""Images: from files or a generator to uint8 tensors, and from those to training batches."""
