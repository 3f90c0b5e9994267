# %% [markdown]
# # 08 · Predictions and neighbours: solutions

# %%
import math

import torch

from alexnet_edu.notebook import check

# %% [markdown]
# **08.1.** $4096 \cdot 32 / 256 = 512$.

# %%
check("08.1", 4096 * 32 / 256)

# %% [markdown]
# **08.2.** A product of signs is $+1$ where two bits agree and $-1$ where they differ. So $u \cdot v$ = agree − differ, and agree + differ = $b$.

# %%
check("08.2", lambda u, v: (u.shape[1] - u @ v.T) / 2)

# %% [markdown]
# **08.3.** In each batch that holds true neighbours the nearest of them is found, and no other. So what is found is the number of batches that hold at least one. A batch holds none of the $k$ with probability $(1 - 1/B)^k$, so on average $B \left(1 - (1 - 1/B)^k\right)$ are found.

# %%
check("08.3", lambda k, B: B * (1 - (1 - 1 / B) ** k))

# %% [markdown]
# The same, neighbour by neighbour: the $r$-th is found if none of the $r - 1$ nearer ones lies in its batch.

# %%
k, B = 16, 1334
print(f"{sum((1 - 1 / B) ** (r - 1) for r in range(1, k + 1)):.3f} of {k}")

# %% [markdown]
# So the authors lost next to nothing. If images lie in class order, the true neighbours crowd into a few batches, and more are lost.
#
# **08.4.** All codes are equally far, so the search takes whichever images come first. If the training images lie in class order, those are airplanes. The measure counts the *order of the file*. To mend it, let $d$ be the $k$-th smallest distance. All that is nearer is among the $k$, whatever the order. The
# remaining places go to those at $d$, each with the same chance. (Shuffling the training images does the same, on average: that is why this lesson does it.)


# %%
def fair_precision(distances, same, k):
    last = distances.sort().values[k - 1]
    surely, tied = distances < last, distances == last
    places = k - surely.sum()
    return (same[surely].sum() + places * same[tied].double().mean()) / k


check("08.4", fair_precision)

# %% [markdown]
# The patient: ten images with one code, two of them of the query's class and first in the file.

# %%
dead, same = torch.zeros(10), torch.arange(10) < 2
print(f"first come {same[:2].double().mean():.0%}, fair {fair_precision(dead, same, 2):.0%}")

# %% [markdown]
# **08.5.** Look at the two-dimensional plane that holds both vectors. A random plane through the mean cuts it in a line of random direction, and separates the vectors if that line runs between them: for $\arccos c$ of $\pi$ directions. So random planes know the angle between two vectors, and nothing of their lengths.

# %%
check("08.5", lambda c: torch.acos(c) / math.pi)

# %%
planes = torch.randn(2, 100_000, generator=torch.Generator().manual_seed(0))
x, y = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.75**0.5])  # 60 degrees apart
differ = ((x @ planes >= 0) != (y @ planes >= 0)).double().mean()
print(f"60 degrees apart: {differ:.3f} of the bits differ, arccos(0.5)/π = {math.acos(0.5) / math.pi:.3f}")
