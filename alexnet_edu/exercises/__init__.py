"""The exercises of the notebooks: checked by what an answer does."""
