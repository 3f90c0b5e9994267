"""The network: its table, its layers, and the small ones for CIFAR-10."""
