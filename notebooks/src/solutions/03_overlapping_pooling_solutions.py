# %% [markdown]
# # 03 · Overlapping pooling: solutions

# %%
import torch
import torch.nn.functional as F

from alexnet_edu.exercises.check import check

# %% [markdown]
# **03.1.** A window with $z = 3$ sees one more place than one with $z = 2$, in every pooling. Two places are 4 pixels of the image apart after conv1, 8 after the first pooling and 16 after the second. The convolutions in between add the same to both.

# %%
check("03.1", 4 + 8 + 16)

# %% [markdown]
# **03.2.** A window that hangs over the edge holds fewer than $z^2$ pixels, and the zeros beside them count as pixels. So outputs at the edge are too small: $4/9$ in the corner of an image of ones. Pool ones in the same way, and divide.
#
# In `max_pool`, zeros instead of $-\infty$ turn a negative maximum at the edge into 0. A ReLU does that anyway.


# %%
def mean_with_zeros(x, z, s):
    over_h, over_w = ((z - n) % s for n in x.shape[2:])
    x = F.pad(x, (0, over_w, 0, over_h))
    return x.unfold(2, z, s).unfold(3, z, s).mean((4, 5))


def avg_pool(x, z, s):
    return mean_with_zeros(x, z, s) / mean_with_zeros(torch.ones_like(x), z, s)


check("03.2", avg_pool)

# %% [markdown]
# **03.3.** The two windows share $z - 1$ of $z$ columns, so $\rho = (z-1)/z$ and $E\,(P' - P)^2 = 2\sigma_P^2 (1 - \rho) = 2\sigma_P^2/z$. [One map, one pixel](../further/03_one_shifted_map.ipynb) measures it.

# %%
check("03.3", lambda z: (2 / z) ** 0.5)

# %% [markdown]
# **03.4.** With $k = n - z$ the sizes are $1 + \lceil k/s \rceil$ and $1 + \lceil (k-1)/s \rceil$. They differ exactly where $s$ divides $k - 1$. There the last window of side $z + 1$ ends at the edge. With side $z$ one pixel is left over, and it takes one more window to see it.

# %%
check("03.4", lambda n, z, s: (n - z - 1) % s != 0)

# %% [markdown]
# **03.5.** In one dimension $\frac12\left(\frac{a+b}{2} + \frac{b+c}{2}\right) = \frac{a + 2b + c}{4}$. Rows and columns multiply. A chessboard alternates along both, and $1 - 2 + 1 = 0$. It is the fastest change that pixels can show. Without the blur, every second place of it would be all $+1$ or all $-1$, depending on where it lies.

# %%
row = torch.tensor([1.0, 2.0, 1.0]) / 4
kernel = torch.outer(row, row)
x = torch.randn(1, 1, 9, 9, generator=torch.Generator().manual_seed(0))
two_steps = F.avg_pool2d(F.avg_pool2d(x, 2, stride=1), 2, stride=2)
print("one convolution:", torch.allclose(two_steps, F.conv2d(x, kernel[None, None], stride=2), atol=1e-6))
sign = 1.0 - 2 * (torch.arange(9) % 2)
chessboard = torch.outer(sign, sign)[None, None]
print("a chessboard:   ", F.conv2d(chessboard, kernel[None, None], stride=2).abs().max().item())
check("03.5", kernel)

# %% [markdown]
# **Change it and run again.** One average instead of two blurs less, and the flicker lies between that of $z = 2$ and that of two averages. More averages lower it further, with less and less effect; they also wash out detail that the next layer could have used.
#
# **To discuss.** A loss of $2.303 = \ln 10$ is that of a network that says the same for every image. It never changes its mind, and knows nothing. Report flicker together with the error. To tell overlap from a wider field, widen the field *without* overlap: larger kernels after a pooling with $z = 2$, until the fields are equal.
