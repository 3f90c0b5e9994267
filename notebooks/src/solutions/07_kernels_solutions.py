# %% [markdown]
# # 07 · Kernels: solutions

# %%
import torch

from alexnet_edu.exercises.check import check

# %% [markdown]
# **07.1.** One output of conv1 sees 11 pixels, and its neighbours are 4 pixels apart. Pooling takes three of them: $11 + 2 \cdot 4 = 19$, and
# the pooled outputs are 8 apart. conv2: $19 + 4 \cdot 8 = 51$, still 8 apart. Pooling: $51 + 2 \cdot 8 = 67$, now 16 apart. conv3:
# $67 + 2 \cdot 16 = 99$.

# %%
check("07.1", 67 + 2 * 16)

# %% [markdown]
# **07.2.** The grey part has the mean of the three channels in each of them, so three times its square.


# %%
def my_colour(w):
    grey = 3 * w.mean(1).square().sum((1, 2))
    return 1 - grey / w.square().sum((1, 2, 3))


check("07.2", my_colour)

# %% [markdown]
# **07.3.** The place of the largest value, as row and column, says both frequencies. The wave runs obliquely, so its frequency
# is the length of the two together.


# %%
def my_frequency(w):
    power = torch.fft.fft2(w, s=(64, 64)).abs()
    row, column = divmod(int(power.argmax()), 64)
    steps = torch.fft.fftfreq(64, dtype=w.dtype)
    return torch.hypot(steps[row], steps[column])


check("07.3", my_frequency)

# %% [markdown]
# **07.4.** The given deal is one of those that could have come: it is counted with the random ones.

# %%
check("07.4", lambda own, null: (1 + (null >= own).sum()) / (1 + len(null)))

# %% [markdown]
# **07.5.** Mean and standard deviation of each kernel over its channels and places; minimum and maximum of all kernels.


# %%
def norm_filters(w):
    centred = w - w.mean((1, 2, 3), keepdim=True)
    centred = centred / centred.square().mean((1, 2, 3), keepdim=True).sqrt()
    return (centred - centred.min()) / (centred.max() - centred.min())


check("07.5", norm_filters)
