# %% [markdown]
# # Further, 10 · Every patient of the clinic
#
# Lesson 10 shows 36 ways to start the network of the paper, trained for sixty steps in a narrow network. Two questions are left: can the
# narrow network stand for the wide one, and why did each patient end as it did?

# %%
from alexnet_edu.lessons import initialization as lesson
from alexnet_edu.notebook import show
from alexnet_edu.studies import clinic

cells = clinic.load()

# %% [markdown]
# ## Can a narrow network stand for the paper's?
#
# It is eight times narrower, and its weights are larger by the root of what the fan-in lost. So its gains are the same, and what differs between
# the ten images should be the same, too, in every layer, for every one of the 36. On the diagonal they agree.

# %%
show(*lesson.narrow_and_wide(cells))

# %% [markdown]
# ## Three inputs, three kinds of weights
#
# What arrives in each layer at full size, biases 1. He's lines are level from conv3 to fc6: that is what the rule is for. They fall where normalization
# (after conv1 and conv2) and dropout's 0.5 (after fc6 and fc7) take their share, which the rule knows nothing about. It also assumes inputs near 1: with
# raw pixels its logits are loud before anything is learned.

# %%
show(*lesson.signals(cells))

# %% [markdown]
# ## All 36
#
# In brackets, the largest loss of the full-size network in its first three steps.

# %%
for setting in clinic.SETTINGS:
    cell, peak = cells.narrow[setting], max(cells.full[setting].losses)
    print(f"{setting.words()}: {cell.fate}: {cell.reason} [{peak:.3g}]")

# %% [markdown]
# Two things do not carry over from the narrow network to the wide one, and both are about the first steps: with He's weights and biases of 1 the loss
# rises at full size even from pixels of 0–1; and with the paper's weights and biases Adam's first step, 0.001 in each of 57 million weights that are
# themselves about 0.01, sends it from 2.4 to 51.
