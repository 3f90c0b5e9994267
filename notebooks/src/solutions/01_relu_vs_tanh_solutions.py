# %% [markdown]
# # 01 · ReLU against tanh: solutions

# %%
import matplotlib.pyplot as plt
import torch

from alexnet_edu.exercises.check import check

# %% [markdown]
# **01.1.** $\sigma' = \sigma(1 - \sigma)$ is largest where $\sigma = 1/2$, and is $1/4$ there. Three layers multiply
# three slopes: at most $(1/4)^3 = 1/64$.

# %%
check("01.1", (1 / 4) ** 3)

# %% [markdown]
# **01.2.** Each kernel has one weight per place of its window and input channel, and a bias. The maps shrink from 32
# to 16, 8 and 4, so the classifier sees $64 \cdot 4 \cdot 4 = 1024$ numbers.

# %%
convolutions = 32 * (5 * 5 * 3 + 1) + 32 * (5 * 5 * 32 + 1) + 64 * (5 * 5 * 32 + 1)
check("01.2", convolutions + 10 * (64 * 4 * 4 + 1))

# %% [markdown]
# **01.3.** The chain rule, with a slope that is 0 or 1: a gate.


# %%
def relu_backward(gradient, z):
    return gradient * (z > 0)


check("01.3", relu_backward)

# %% [markdown]
# **01.4.** Slopes first, then the mean of a truth value.


# %%
def share_saturated(z):
    return ((1 - torch.tanh(z) ** 2) < 0.05).float().mean()


check("01.4", share_saturated)

# %% [markdown]
# What it says about the first layer of the network, by the standard deviation of its input:

# %%
scales = torch.logspace(-1.3, 1.3, 40)
noise = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
figure, ax = plt.subplots(figsize=(6, 3))
ax.semilogx(scales, [100 * share_saturated(s * noise).item() for s in scales], color="#D55E00")
ax.axvline(0.01 * 75**0.5 * 63, color="0.3", linestyle="--", label="raw pixels, N(0, 0.01)")
ax.axvline(0.01 * 75**0.5, color="0.3", linestyle=":", label="standardized pixels, N(0, 0.01)")
ax.set(xlabel="standard deviation of z", ylabel="saturated values (%)", title="tanh, before pooling")
ax.legend(loc="center left", bbox_to_anchor=(0.12, 0.7), frameon=False)
plt.show()

# %% [markdown]
# **01.5.** One number far to the left, one near zero: $|\tanh(-3)|$ is the largest, but pooling first keeps $0.1$.

# %%
check("01.5", (-3.0, 0.1))
