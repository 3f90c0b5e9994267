# %% [markdown]
# # 03 · Overlapping pooling: solutions

# %%
import math

import torch
import torch.nn.functional as F

from alexnet_edu.exercises.check import check

# %% [markdown]
# **03.1.** $(112 - 3)/2 = 54.5$. Rounded up, and the first window added: 56. The last window hangs over the edge by one
# row and one column.

# %%
check("03.1", 1 + math.ceil((112 - 3) / 2))

# %% [markdown]
# **03.2.** The second dimension of `F.unfold` is (C, 9): all nine values of the first channel, then those of the next.


# %%
def max_pool_by_columns(x):
    h, w = ((n - 3) // 2 + 1 for n in x.shape[2:])
    columns = F.unfold(x, 3, stride=2).unflatten(1, (x.shape[1], 9))  # (N, C, 9, h·w)
    return columns.amax(2).unflatten(2, (h, w))


check("03.2", max_pool_by_columns)

# %% [markdown]
# **03.3.** Along one side input $i$ is seen by the windows that start at an even place among $i-4, \dots, i$: three for
# even $i$, two for odd $i$. Rows and columns multiply: 9, 6 or 4 windows, on average $(5/2)^2 = 6.25 = z^2/s^2$.

# %%
check("03.3", 3 * 3)

# %% [markdown]
# **03.4.** Rounding changes nothing exactly where $s$ divides $n - z$.

# %%
check("03.4", lambda n, z, s: (n - z) % s != 0)

# %% [markdown]
# **03.5.** In one dimension $\frac12\left(\frac{a+b}{2} + \frac{b+c}{2}\right) = \frac{a + 2b + c}{4}$. Rows and columns
# multiply.

# %%
row = torch.tensor([1.0, 2.0, 1.0]) / 4
kernel = torch.outer(row, row)
x = torch.randn(1, 1, 9, 9, generator=torch.Generator().manual_seed(0))
two_steps = F.avg_pool2d(F.avg_pool2d(x, 2, stride=1), 2, stride=2)
assert torch.allclose(two_steps, F.conv2d(x, kernel[None, None], stride=2), atol=1e-6)
assert torch.equal(F.max_pool2d(F.max_pool2d(x, 2, stride=1), 2, stride=2), F.max_pool2d(x, 3, stride=2))
check("03.5", kernel)
