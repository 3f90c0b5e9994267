# %% [markdown]
# # 00 · Start here: solutions

# %%
import math

from alexnet_edu.notebook import check

# %% [markdown]
# **00.1.** $p = 1/1000$, so the loss is $\ln 1000$. An untrained network should be near that. If yours begins far above, its outputs are too large (lesson 10).

# %%
print(f"{math.log(1000):.3f}")
check("00.1", math.log(1000))

# %% [markdown]
# **00.2.** Layer by layer, $K (s^2 C + 1)$. It has slightly *more* parameters than the paper's: fewer kernels in conv1 and conv2, but without columns each
# sees more maps. And nearly everything is in fc6 to fc8, which are the same.

# %%
convolutions = [(64, 11, 3), (192, 5, 64), (384, 3, 192), (256, 3, 384), (256, 3, 256)]
torchvisions = sum(k * (s * s * c + 1) for k, s, c in convolutions)
torchvisions += sum(k * (c + 1) for k, c in ((4096, 256 * 6 * 6), (4096, 4096), (1000, 4096)))
print(f"{torchvisions:,}")
check("00.2", torchvisions)

# %% [markdown]
# **00.3.** Rounded down: conv1 has $1 + \lfloor 213/4 \rfloor = 54$ places. Pooling turns them into 26, and the next two poolings into 12 and 5. So fc6 reads $256 \cdot 5^2 = 6400$ numbers in place of
# 9216. One window that hung over the edge costs a fifth of the parameters, and once fc6 "fits", nothing warns you.

# %%
side = 1 + (224 - 11) // 4
for _ in range(3):
    side = 1 + (side - 3) // 2
print(side, f"{256 * (6**2 - side**2) * 4096:,}")
check("00.3", 256 * (6**2 - side**2) * 4096)

# %% [markdown]
# **00.4.** The multiply-adds of a convolution grow with the places: 111² in place of 55², 55² in place of 27², and 27² in place of 13². fc6 reads $256 \cdot 13^2$ numbers in place of $256 \cdot 6^2$: more than four times as many, since
# $13/6 > 2$. A convolution has the same weights whatever the image; a fully connected layer is made for one size of image.


# %%
def sides(n):
    conv1 = 1 + math.ceil((n - 11) / 4)
    conv2 = 1 + math.ceil((conv1 - 3) / 2)
    conv3 = 1 + math.ceil((conv2 - 3) / 2)
    return conv1, conv2, conv3, conv3, conv3, 1 + math.ceil((conv3 - 3) / 2)


weights = (11 * 11 * 3 * 96, 5 * 5 * 48 * 256, 9 * 256 * 384, 9 * 192 * 384, 9 * 192 * 256)
work = {n: sum(w * side**2 for w, side in zip(weights, sides(n))) for n in (224, 448)}
fc6 = {n: 4096 * (256 * sides(n)[-1] ** 2 + 1) for n in (224, 448)}
print(f"{work[448] / work[224]:.3f}, {fc6[448] / fc6[224]:.3f}")
check("00.4", (work[448] / work[224], fc6[448] / fc6[224]))
