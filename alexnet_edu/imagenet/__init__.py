"""The full training: prepared images, the recipe, a run that survives being killed."""
