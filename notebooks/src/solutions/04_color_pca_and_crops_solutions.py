# %% [markdown]
# # 04 · Crops, reflections, colour PCA: solutions

# %%
import torch

from alexnet_edu.notebook import check

# %% [markdown]
# **04.1.** A given version is missed in all 90 epochs with probability $(1 - 1/2178)^{90}$, so the expected number of those seen is $2178\,(1 - (1 - 1/2178)^{90}) \approx 88.2$. With 2048 it would be 88.1: nothing depends on the factor. It only says that hardly any version comes twice.

# %%
check("04.1", 2178 * (1 - (1 - 1 / 2178) ** 90))

# %% [markdown]
# **04.2.** The shift is independent of the image, so covariances add: $C + 0.1^2 C = 1.01\, C$, in every channel. Standard deviations grow by $\sqrt{1.01} \approx 1.005$. Dividing by 1.1 would be right if each shift were a tenth of the pixel itself, so that standard deviations added. As it is, training images have 9% less
# contrast than test images, and the network reads larger numbers at test time than it was trained on.

# %%
check("04.2", 1.01**0.5)

# %% [markdown]
# **04.3.** The ten patches of an image lie one after the other, so the first dimension is the image: `view(-1, 10, classes)`. The other view mixes patches of different images; with a single image the two are the same, so a test on one image cannot find it. And the paper averages what the softmax returns. (The softmax of mean logits is
# the normalized geometric mean: lesson 09 has more on that.)


# %%
def averaged(logits):
    return logits.view(-1, 10, logits.shape[1]).softmax(2).mean(1)


check("04.3", averaged)

# %% [markdown]
# **04.4.** Swap `x` and its reflection, and the two terms change places. So no answer of the new network changes when images are mirrored, without any training. On `nets["no augmentation"]` the error falls as well, by two or three points, because two opinions are averaged. It cannot reach the network that was trained with reflections and crops: that one
# has *learned* from more versions.


# %%
def without_sides(net, x):
    return (net(x) + net(x.flip(3))) / 2


check("04.4", without_sides)

# %% [markdown]
# **04.5.** The vector $0.1\, A \mathbf z$ is Gaussian with mean 0 and covariance $0.1^2 A A^\top$. It must be $0.1^2 C$, so $A A^\top = C$: the Cholesky factor. A Gaussian is known by its mean and covariance, so the two are distributed alike.

# %%
check("04.5", torch.linalg.cholesky)

# %% [markdown]
# **To discuss.** Convolutions move with the image only by whole strides, and zeros at the border mark where the border is. Pooling with stride 2 three times means that only shifts by 8 pixels move the last maps by one. Above all, the fully connected layer has weights of its own for every place. A mean over all places instead would
# forget where things are, and the network would mind much less.
