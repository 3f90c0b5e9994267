# %% [markdown]
# # 04 · Crops, reflections, colour PCA: solutions

# %%
import torch

from alexnet_edu.exercises.check import check

# %% [markdown]
# **04.1.** $256 - 227 + 1 = 30$ places along each side, two directions.

# %%
check("04.1", 30 * 30 * 2)

# %% [markdown]
# **04.2.** $0.1 \cdot \sqrt{0.2175} \cdot 255 \approx 11.9$ grey levels. With $\lambda$ itself it would be 5.5, and with
# $\lambda$ of pixels 0–255 it would be 1414.

# %%
check("04.2", 0.1 * 0.2175**0.5 * 255)

# %% [markdown]
# **04.3.** For one image the shift is $P(\alpha \circ s)$. For rows of $\alpha$ both sides are transposed.


# %%
def recolor(images, P, s, alpha):
    shifts = (alpha * s) @ P.T  # (N, 3)
    return images + shifts[:, :, None, None]


check("04.3", recolor)

# %% [markdown]
# **04.4.**


# %%
def ten_patches(images, size):
    down, right = images.shape[2] - size, images.shape[3] - size
    places = [(0, 0), (0, right), (down // 2, right // 2), (down, 0), (down, right)]
    five = torch.stack([images[:, :, t : t + size, s : s + size] for t, s in places], dim=1)
    return torch.cat([five, five.flip(-1)], dim=1)


check("04.4", ten_patches)

# %% [markdown]
# **04.5.** The Cholesky factor. With $z \sim \mathcal N(0, I)$ the vector $\sigma A z$ has mean 0 and covariance
# $\sigma^2 A A^\top = \sigma^2 C$, and it is Gaussian: the same distribution as with eigenvectors.

# %%
check("04.5", torch.linalg.cholesky)
