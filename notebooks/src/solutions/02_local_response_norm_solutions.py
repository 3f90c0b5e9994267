# %% [markdown]
# # 02 · Local response normalization: solutions

# %%
import torch
import torch.nn.functional as F

from alexnet_edu.model.layers import local_response_norm
from alexnet_edu.notebook import check

# %% [markdown]
# **02.1.** With silent neighbours $b = a\,(k + \alpha a^2)^{-\beta}$. Its derivative is 0 where $k + \alpha a^2 = 2 \alpha \beta\, a^2$, so
# $a^2 = k / (\alpha (2\beta - 1)) = 2 / (10^{-4} \cdot 0.5) = 40{,}000$. Beyond 200 a lonely map comes out smaller the stronger it is.

# %%
check("02.1", (2 / (1e-4 * (2 * 0.75 - 1))) ** 0.5)

# %% [markdown]
# **02.2.** `F.pad(…, (2, 2))` pads the *last* dimension, so the five slices are places in a row of one map. The test passes all the same: activities of size 1 give a sum far
# below $k$, and both functions only multiply by 0.595. Activities of size 100 show the mistake. A test of a formula must reach the regime in which all of its terms matter.

# %%
check("02.2", 100 * torch.randn(2, 8, 6, 6, generator=torch.Generator().manual_seed(0)).relu())

# %% [markdown]
# **02.3.** Every activity of the first layer is $1/63$ of what it was, its square $1/63^2$; the same holds for the second layer, since $b/a$ is the same in the first and the biases are 0. So $\alpha$ must be $63^2$
# times as large: about 0.4 in place of 0.0001. In the run, $b/a$ then leaves 0.595 within a hundred batches, as it does on raw pixels.

# %%
check("02.3", 63**2)

# %% [markdown]
# **02.4.** Any negative number within two maps of a positive one will do. If normalization comes first, it squares the negative number, which then inhibits. If ReLU comes
# first, the number is gone. The further below 0 it lies, the more the two orders differ:

# %%
for neighbour in (-10.0, -100.0, -1000.0):
    z = torch.tensor([neighbour, 50.0]).reshape(1, 2, 1, 1)
    relu_first, relu_last = local_response_norm(z.relu()), local_response_norm(z).relu()
    print(f"neighbour {neighbour:6g}: {relu_first[0, 1].item():.2f} or {relu_last[0, 1].item():.2f}")
check("02.4", [-100.0, 50.0])

# %% [markdown]
# **02.5.** Write $d^j = k + \alpha \sum (a)^2$ for the base of map $j$. Then, for two maps $i$ and $j$ in each other's window,
#
# $$\frac{\partial b^j}{\partial a^i} = \delta_{ij}\,(d^j)^{-\beta} - 2 \alpha \beta\, a^j a^i\, (d^j)^{-\beta - 1} .$$
#
# With $q^j = g^j (d^j)^{-\beta}$, summing over $j$,
#
# $$\frac{\partial L}{\partial a^i} = q^i - 2 \alpha \beta\, a^i \sum_j \frac{q^j a^j}{d^j} .$$
#
# The sum runs over the same window: if $j$ is in the window of $i$, then $i$ is in that of $j$.


# %%
def window_sum(t):
    padded = F.pad(t, (0, 0, 0, 0, 2, 2))
    return sum(padded[:, j : j + t.shape[1]] for j in range(5))


def lrn_backward(g, a):
    d = 2 + 1e-4 * window_sum(a**2)
    q = g * d**-0.75
    return q - 2 * 1e-4 * 0.75 * a * window_sum(q * a / d)


check("02.5", lrn_backward)
