# %% [markdown]
# # Further, 07 · Beyond the first layer
#
# A kernel of the second layer has dozens of channels, so it cannot be drawn as a picture. But we can ask which *images* excite a unit most, and where.

# %% tags=["nbval-ignore-output"]
import torch

from alexnet_edu.lessons import kernels as lesson
from alexnet_edu.notebook import load_cifar10
from alexnet_edu.studies import kernels as numbers
from alexnet_edu.studies import networks

images = load_cifar10()
network = networks.weights_for(images)
for name, field in numbers.fields(network).items():
    print(
        f"{name}, with the pooling after it: one output sees {field.size}×{field.size} pixels, its neighbour {field.jump} further on"
    )

# %% [markdown]
# That square is the unit's *receptive field*: all that it can see of the image. It grows from layer to layer, and pooling makes it grow, too: an output of conv1 *before* pooling sees 7×7 pixels here, its own kernel. (From conv2 on
# the square is larger than the image of 30×30 pixels; what lies outside is padding.)

# %% tags=["nbval-ignore-output"]
order = torch.randperm(len(images.test), generator=torch.Generator().manual_seed(7))
some = images.test.subset(order[:2000])
lesson.excitation_explorer(network, some, frames={"layer": ("conv1", "conv2", "fc5")})

# %% [markdown]
# In `conv1` the images have nothing in common but a spot: an edge, a colour. In `conv2` it is a texture or a corner. In `fc5` most of the images often belong to one class, or to two that share something: the unit has become a kind of word for it. (`fc6` has one unit for each class.)
#
# ## Does any unit say nothing?

# %% tags=["nbval-ignore-output"]
for layer in network.layers[:-1]:
    found = numbers.excited(network, some.pixels, layer)
    print(
        f"{layer}: {numbers.silent(found)} of {found.strength.shape[1]} units answer to none of {len(some):,} images"
    )

# %% [markdown]
# A unit that is off for every image gets no gradient; whether such a unit can come back is a question of lesson 01.
