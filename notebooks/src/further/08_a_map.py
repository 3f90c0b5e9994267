# %% [markdown]
# # Further, 08 · The space as a map
#
# Can 256 dimensions be seen? t-SNE puts points on a plane so that near vectors are near each other. It knows no labels; the colours come afterwards.

# %% tags=["nbval-ignore-output"]
import torch

from alexnet_edu.lessons import neighbours as lesson
from alexnet_edu.notebook import at_scale, load_cifar10, show
from alexnet_edu.studies import networks
from alexnet_edu.studies.neighbours import as_vectors, plane

images = load_cifar10()
network = networks.weights_for(images)
test = lesson.shuffled(images)[1].subset(torch.arange(at_scale(300, 1_000, 2_000)))
maps = {
    "last hidden layer": plane(network.features(test.pixels)),
    "pixels": plane(as_vectors(test.pixels)),
}
show(*lesson.space(maps, test))

# %% [markdown]
# In features each class has a place, and related classes are neighbours; the names stand at the medians. In pixels the classes lie on top of each other: whatever order there is, it is hardly one of classes.
#
# Do not read too much into such a map. Its axes mean nothing, and neither do large distances or the sizes of the heaps. Ask it a question that can be answered by counting, such as the one in the title, which looks at the nearest points only.
