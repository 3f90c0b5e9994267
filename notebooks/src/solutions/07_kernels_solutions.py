# %% [markdown]
# # 07 · Kernels: solutions

# %%
import math

import torch

from alexnet_edu.notebook import check
from alexnet_edu.studies.kernels import colour_share, tuning

# %% [markdown]
# **07.1.** One output of conv1 sees 11 pixels, and its neighbours are 4 pixels apart. Pooling takes three of them: $11 + 2 \cdot 4 = 19$, and
# the pooled outputs are 8 apart. conv2: $19 + 4 \cdot 8 = 51$, still 8 apart. Pooling: $51 + 2 \cdot 8 = 67$, now 16 apart. conv3:
# $67 + 2 \cdot 16 = 99$.

# %%
check("07.1", 67 + 2 * 16)

# %% [markdown]
# **07.2.** With the weights $(w, w, 0)$ the mean is $\frac23 w$. So the grey part is $3 \cdot \frac49 w^2 = \frac43 w^2$ of $2 w^2$, two thirds, and the colour share is $1/3$. To the eye it is yellow; to the measure it is mostly brightness.

# %%
check("07.2", 1 / 3)

# %% [markdown]
# **07.3.** A mean of $K/2$ values has the variance $2 s^2 / K$; the difference of two has $4 s^2 / K$. So $\sigma = 2 s / \sqrt K$, and the mean absolute value is $\sigma \sqrt{2/\pi}$. Four times as many kernels halve what chance gives.


# %%
def by_chance(s, K):
    return 2 * s / K**0.5 * (2 / math.pi) ** 0.5


check("07.3", by_chance)

# %% [markdown]
# **07.4.** Nothing says which column should have more colour, so differences count in both directions: compare sizes. (With signs, $p$ is near 1 when the *other* column has more.) And the columns as they are could have been dealt, too: count them among the deals, and $p$ is never 0.


# %%
def p_value(own, null):
    return (1 + (null.abs() >= own.abs()).sum()) / (1 + len(null))


check("07.4", p_value)

# %% [markdown]
# **07.5.** The mean of $n$ networks scatters with $\sigma / \sqrt n$. It is above 97.5% of what chance gives if $\sigma / 2 > 1.96\, \sigma / \sqrt n$, so $n > (2 \cdot 1.96)^2 = 15.4$. Four networks tell little, and one tells nothing.

# %%
check("07.5", math.ceil((2 * 1.96) ** 2))

# %% [markdown]
# **A sick patient.** It counts noise: random weights are coloured, with $C$ near $2/3$, and have no direction. A third number, such as the frequency of the strongest wave, tells them apart: a blob is smooth. (This project's own record counts blobs in just the way of the exercise. In its trained networks both
# ways count the same kernels, since little noise is left there; before training they would not.)

# %%
noise = torch.randn(200, 3, 7, 7, generator=torch.Generator().manual_seed(0))
each = tuning(noise)
blobs = (colour_share(noise) > 0.5) & (each.selectivity < 0.5)
print(
    f"of random kernels {blobs.double().mean():.0%} are 'blobs'; of them {(each.frequency[blobs] < 0.15).double().mean():.0%} are smooth"
)
