# %% [markdown]
# # 00 · Start here: solutions

# %%
import matplotlib.pyplot as plt
import torch

from alexnet_edu.exercises.check import check
from alexnet_edu.show.plots import STYLES

# %% [markdown]
# **00.1.** ReLU keeps what is positive: one comparison per value.

# %%
check("00.1", lambda z: torch.where(z > 0, z, torch.zeros_like(z)))

# %% [markdown]
# **00.2.** $1 - \tanh^2(z) = 0.05$ gives $\tanh(z) = \sqrt{0.95}$, so $z = \operatorname{artanh}\sqrt{0.95} \approx 2.18$.

# %%
z_flat = torch.atanh(torch.tensor(0.95).sqrt()).item()
print(f"{z_flat:.3f}")
check("00.2", z_flat)

# %%
z = torch.linspace(-5, 5, 401)
figure, ax = plt.subplots(figsize=(6, 3))
ax.plot(z, 1 - torch.tanh(z) ** 2, **STYLES["tanh"].kwargs())
ax.plot(z, (z > 0).float(), **STYLES["relu"].kwargs())
ax.axhline(0.05, color="0.5", linewidth=0.8)
ax.axvspan(z_flat, 5, color="0.9")
ax.axvspan(-5, -z_flat, color="0.9")
ax.set(xlabel="input z", ylabel="slope f′(z)", title="tanh is flat in the grey regions")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# **00.3.** 256 kernels of 5×5 on 96 channels, and a bias for each.

# %%
check("00.3", 256 * (5 * 5 * 96 + 1))

# %% [markdown]
# **00.4.** $1 + \lceil (256 - 11)/4 \rceil = 1 + \lceil 61.25 \rceil = 63$.

# %%
check("00.4", 63)
