# %% [markdown]
# # Further, 01 · What happens inside the layers?
#
# Lesson 01 shows the first layer of a tanh network after 100 steps. Here are all layers, until 25%; two more
# activations; and what happens to ReLU when the weights are scaled as one would scale them today.

# %%
from alexnet_edu.lessons import relu as lesson
from alexnet_edu.notebook import load, load_cifar10, show

record, images = load("figure1"), load_cifar10().train

# %% [markdown]
# ## One neuron first
#
# Which share of the gradient gets through, if the inputs are as wide as this?

# %% tags=["nbval-ignore-output"]
lesson.function_explorer(frames={"std": (0.5, 5.5)})

# %% [markdown]
# ## Does the saturated layer ever recover?

# %%
show(*lesson.layers_over_training(record))

# %% [markdown]
# No. On raw pixels the first tanh layer (solid) is saturated from the first half-epoch to the last. On standardized pixels it works on the steep part of tanh and saturates slowly as it learns. ReLU, too, is off
# for a fifth to more than a third of the values of its first layer, and for most of the third. It learns nevertheless:
# where it is on, the whole gradient passes.
#
# You might expect the gradient of the saturated layer to vanish. It does not. Few values pass a gradient, but each is
# multiplied by raw pixels, which are large. So the first layer is not asleep. It probably learns from the few places that
# happen to lie on the steep part, a noisy sample of what the images could teach it. (That is not tested here.)
#
# ## Is ReLU immune?
#
# Nothing bounds its output: what comes in 63 times as large goes out 63 times as large, through all layers, where tanh
# stops at 1. Small weights make up for it. Weights scaled to the fan-in keep the size, all the way to the loss. Guessing
# blindly among ten classes costs $\ln 10 = 2.3$.

# %% tags=["nbval-ignore-output"]
show(*lesson.first_losses(images, record))

# %% [markdown]
# ## Two more functions
#
# The logistic sigmoid was the other common choice, and §3.1 mentions $|\tanh z|$. Each has its own learning rate.

# %%
show(*lesson.four_activations(record))

# %% [markdown]
# ReLU is first on both sides. On raw pixels $|\tanh z|$ hardly leaves chance: it throws the sign of $z$ away, and the size
# says little where $z$ is large.
# With standardized inputs and scaled weights it learns, but stays behind tanh.
