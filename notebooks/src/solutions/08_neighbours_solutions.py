# %% [markdown]
# # 08 · Predictions and neighbours: solutions

# %%
import math

import torch

from alexnet_edu.exercises.check import check

# %% [markdown]
# **08.1.** $4096 \cdot 32 / 256 = 512$.

# %%
check("08.1", 4096 * 32 / 256)

# %% [markdown]
# **08.2.** A product of signs is $+1$ where two bits agree and $-1$ where they differ. So $u \cdot v$ = agree − differ, and agree + differ = bits.

# %%
check("08.2", lambda u, v: (u.shape[1] - u @ v.T) / 2)

# %% [markdown]
# **08.3.** In each batch that holds true neighbours the nearest of them is found, and no other one. So what is found is the number of
# batches that hold at least one. A batch holds none of $k$ with the chance $(1 - 1/B)^k$.

# %%
check("08.3", lambda k, B: B * (1 - (1 - 1 / B) ** k))

# %% [markdown]
# The same neighbour by neighbour: the $r$-th is found if none of the $r - 1$ nearer ones lies in its batch.

# %%
k, B = 16, 1334
one_by_one = sum((1 - 1 / B) ** (r - 1) for r in range(1, k + 1))
assert math.isclose(one_by_one, B * (1 - (1 - 1 / B) ** k))
print(f"{one_by_one:.3f} of {k}")

# %% [markdown]
# **08.4.** Let $d$ be the $k$-th smallest distance. All that is nearer is among the $k$ in any order. What places are left go to those at $d$, each with
# the same chance.


# %%
def shared_precision(distances, same, k):
    last = distances.sort().values[k - 1]
    surely, tied = distances < last, distances == last
    places = k - surely.sum()
    return (same[surely].sum() + places * same[tied].double().mean()) / k


check("08.4", shared_precision)

# %% [markdown]
# Why it matters: ten images with one code, two of them of the query's class and first in the list. Who takes the first two finds 100%.

# %%
codes, same = torch.zeros(10), torch.arange(10) < 2
print(f"first come {same[:2].double().mean():.0%}, shared {shared_precision(codes, same, 2):.0%}")
assert shared_precision(codes, same, 2) == 0.2

# %% [markdown]
# **08.5.** A random plane through the mean cuts the flat through both vectors in a line of random direction. It separates them if it runs
# between them: in $\arccos c$ of $\pi$ directions.

# %%
check("08.5", lambda c: torch.acos(c) / math.pi)

# %%
generator = torch.Generator().manual_seed(0)
planes = torch.randn(2, 100_000, generator=generator)
x, y = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.75**0.5])  # 60 degrees apart
differ = ((x @ planes >= 0) != (y @ planes >= 0)).double().mean()
print(f"60 degrees apart: {differ:.3f} of the bits differ, arccos(0.5)/π = {math.acos(0.5) / math.pi:.3f}")
assert abs(differ - 1 / 3) < 0.01
