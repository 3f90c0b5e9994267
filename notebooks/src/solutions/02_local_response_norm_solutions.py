# %% [markdown]
# # 02 · Local response normalization: solutions

# %%
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from alexnet_edu.exercises.check import check

# %% [markdown]
# **02.1.** Zeros on either side make the window end at the first and the last map by itself.


# %%
def response_norm(a):
    padded = F.pad(a**2, (0, 0, 0, 0, 2, 2))  # the last pair but two is the dimension of the maps
    sums = sum(padded[:, j : j + a.shape[1]] for j in range(5))
    return a / (2 + 1e-4 * sums) ** 0.75


check("02.1", response_norm)

# %% [markdown]
# **02.2.** The sum is $5 \cdot 100^2 = 50{,}000$, the base $2 + 5 = 7$, and $7^{-0.75} = 0.232$.

# %%
check("02.2", (2 + 1e-4 * 5 * 100**2) ** -0.75)

# %% [markdown]
# **02.3.** PyTorch divides by the size of the window, so $\alpha$ must be five times as large.

# %%
check("02.3", 5 * 1e-4)

# %% [markdown]
# **02.4.** Any negative number within two maps of a positive one will do. If normalization comes
# first, it squares the negative number, which then inhibits. If ReLU comes first, the number is gone. The further below 0 it lies, the more
# the two orders differ:

# %%
for neighbour in (-10.0, -100.0, -1000.0):
    z = torch.tensor([neighbour, 50.0]).reshape(1, 2, 1, 1)
    relu_first, relu_last = response_norm(z.relu()), response_norm(z).relu()
    print(f"neighbour {neighbour:6g}: {relu_first[0, 1].item():.2f} or {relu_last[0, 1].item():.2f}")
check("02.4", [-100.0, 50.0])

# %% [markdown]
# **02.5.** $(\text{base})^{0.75}$ must become twice as large, so the base $2^{4/3} = 2.52$ times as large:
# $2 + 5 \cdot 10^{-4} r^2 = 2 \cdot 2^{4/3}$.

# %%
r = (2 * (2 ** (4 / 3) - 1) / 5e-4) ** 0.5
print(f"r = {r:.1f}")
check("02.5", r)

# %% [markdown]
# The curve that the number is taken from:

# %%
x = torch.logspace(0, 3, 200)
figure, ax = plt.subplots(figsize=(6, 3))
ax.semilogx(x, (1 + 2.5e-4 * x**2) ** -0.75, color="#0072B2")
ax.plot([r], [0.5], "o", color="black")
ax.set(xlabel="rms of the five activities", ylabel="b/a, relative to quiet", title="The printed formula")
ax.set_ylim(0, 1.05)
plt.tight_layout()
plt.show()
