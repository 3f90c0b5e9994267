# %% [markdown]
# # Further, 02 · What else could the formula mean?
#
# Lesson 02 takes the formula of §3.3 as printed: $\alpha$ times the plain sum over five maps, after ReLU. Here are other readings, and what each
# does to the first layer of the same network, after a hundred steps on raw pixels without any normalization.

# %%
import torch

from alexnet_edu.lessons import lrn as lesson
from alexnet_edu.model.layers import local_response_norm
from alexnet_edu.notebook import load_cifar10, show

responses = lesson.Responses(load_cifar10().train)

# %% [markdown]
# ## Over maps or over places?
#
# Many descriptions of LRN sum over an $n \times n$ square of *places* in one map. The neighbours of §3.3 are *maps*.

# %% tags=["nbval-ignore-output"]
show(*lesson.three_readings(responses))

# %% [markdown]
# The code's version, with $\alpha/n$, hardly leaves 0.595. In the printed one the sum weighs five times as much, in the same pattern. The
# misreading is another operation: it sums 25 squares, and it darkens what is strong *around this place in this map*, whatever the other maps do.
#
# ## Within a map, as in run 145
#
# Would it not be better to normalize within a map, since different kernels are unrelated? The authors did both. In layer 2 of the network that was
# published, a second normalization divides by $(1 + 0.001\,m)^{0.75}$, where $m$ is the mean square over 5×5 places. (The 1 is inferred from older code of
# theirs.)

# %% tags=["nbval-ignore-output"]
show(*lesson.within_map(responses))

# %% [markdown]
# It evens out contrast across the image. Where a map is strong over a whole region, the region comes down; at its border, where half of the window is
# quiet, more is left. (The constants are stronger, too: here the second term equals the first at a root mean square of 32, in §3.3 at 63.)
#
# ## Before ReLU
#
# In layer 1 of run 145 the order is convolution, normalization, pooling, ReLU. Before ReLU the negative responses are still there, and their squares
# inhibit as well. How much does that change?

# %%
z = 30 * torch.randn(8, 96, 27, 27, generator=torch.Generator().manual_seed(0))
norm_first = local_response_norm(z, convention="code").relu()
relu_first = local_response_norm(z.relu(), convention="code")
less = 1 - (norm_first / relu_first)[z > 0]
print(f"random responses of size 30: {less.mean():.1%} smaller on average, up to {less.max():.1%}")

# %% [markdown]
# Little on average; single units lose more. (Run 166 normalizes before ReLU in layer 2 as well. It is about half a point worse than 145, with another schedule.)
#
# ## Two columns
#
# 96 maps as one column, or as two of 48, one per GPU. Which maps notice?

# %%
z = 100 * torch.randn(4, 96, 9, 9, generator=torch.Generator().manual_seed(4)).relu()
difference = (local_response_norm(z) - local_response_norm(z, columns=2)).abs().amax((0, 2, 3))
print("maps that differ:", (difference > 1e-4).nonzero().flatten().tolist())

# %% [markdown]
# Only the two maps on either side of the border, whose windows would cross it.
