# %% [markdown]
# # Further, 08 · Near-duplicates
#
# Some test images of CIFAR-10 have a near-duplicate among the training images. Barz and Denzler (2020, *Do we train on test data?*) looked at all of them, and counted 3.3%. A network that has seen the twin need not understand anything. How much of lesson 08 do the twins decide?
#
# We need a rule that works without looking. Ours: *the same* training image is the nearest by pixels and by features.

# %% tags=["nbval-ignore-output"]
import torch

from alexnet_edu.lessons import neighbours as lesson
from alexnet_edu.notebook import at_scale, load_cifar10, show
from alexnet_edu.studies import networks
from alexnet_edu.studies.neighbours import as_vectors, nearest, precision_at_k

images = load_cifar10()
network = networks.weights_for(images)
train, test = lesson.shuffled(images)
test = test.subset(torch.arange(at_scale(300, 2_000, 10_000)))
by_features = nearest(network.features(test.pixels), network.features(train.pixels), 6).index
by_pixels = nearest(as_vectors(test.pixels), as_vectors(train.pixels), 6).index
twin = by_features[:, 0] == by_pixels[:, 0]
pairs = torch.stack([twin.nonzero()[:, 0], by_pixels[twin, 0]], 1)
show(*lesson.twins(test, train, pairs[:40], twin.float().mean().item()))

# %% [markdown]
# Most of these pairs are the same picture twice, shifted, cut or coloured a little differently. Some are merely alike. Now leave those test images out:

# %% tags=["nbval-ignore-output"]
for words, index in (("features", by_features), ("pixels  ", by_pixels)):
    share = precision_at_k(index, test.labels, train.labels)
    print(f"precision at six by {words}: {share.mean():.1%}, without twins {share[~twin].mean():.1%}")

# %% [markdown]
# About a point less in each. So the twins decide little here: only one neighbour of six is a twin, and most test images have none. They would decide more if only the *nearest* neighbour counted, and for a network that learns its training images by heart.
