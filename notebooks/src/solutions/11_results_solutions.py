# %% [markdown]
# # 11 · Results: solutions

# %%
import torch

from alexnet_edu.exercises.check import check

# %% [markdown]
# **11.1.** $(0.390247 - 0.374727) \cdot 150{,}000 = 2328$ images. With the rounded rates of the paper it would be 2250.

# %%
check("11.1", round((0.390247 - 0.374727) * 150_000))

# %% [markdown]
# **11.2.** Count how many classes have the largest probability. The label gets its share if it is one of them.


# %%
def shared_error(p, labels):
    largest = p.max(1, keepdim=True).values
    tied = (p == largest).sum(1)  # (N,), at least 1
    among = p.gather(1, labels[:, None]).squeeze(1) == largest.squeeze(1)
    return (1 - among.double() / tied).mean()


check("11.2", shared_error)

# %% [markdown]
# **11.3.** Class 0 is the close second of both, and their first choices differ. The average is
# $(0.44,\ 0.28,\ 0.28)$.

# %%
check("11.3", [[0.44, 0.46, 0.10], [0.44, 0.10, 0.46]])

# %% [markdown]
# **11.4.** `topk` would do as well, but it promises no order among equals.


# %%
def five_labels(p):
    return p.argsort(dim=1, descending=True, stable=True)[:, :5] + 1


check("11.4", five_labels)

# %% [markdown]
# **11.5.** The variance of the sum is the sum of all $M^2$ covariances: $M$ of them are $\sigma^2$, the other $M(M-1)$ are
# $\rho\sigma^2$. The mean divides the sum by $M$, so its variance by $M^2$:
#
# $$\frac{M + M(M-1)\rho}{M^2} = \rho + \frac{1-\rho}{M}.$$

# %%
check("11.5", lambda M, rho: rho + (1 - rho) / M)

# %% [markdown]
# For $\rho = 0.6$ five networks leave 68% of the variance, ten 64%, and infinitely many 60%. So the step from one to five is
# most of what there is.

# %%
for M in (1, 2, 5, 10, 1000):
    print(f"{M:4} networks: {0.6 + 0.4 / M:.3f}")
assert torch.isclose(torch.tensor(0.6 + 0.4 / 5), torch.tensor(0.68))
