# %% [markdown]
# # 11 · Results: solutions

# %%
import torch
from torch import nn

from alexnet_edu.notebook import check

# %% [markdown]
# **11.1.** $a + b = 40.7$ and $a + b/5 = 38.1$, so $b = 2.6 / 0.8 = 3.25$ and $a = 37.45$.

# %%
check("11.1", 40.7 - (40.7 - 38.1) / (1 - 1 / 5))

# %% [markdown]
# **11.2.** Of classes that tie, `argmax` takes the first: class 0 in a dead network. So count how many classes have the largest probability. The label gets its share if it is among them.


# %%
def shared_error(p, labels):
    largest = p.max(1, keepdim=True).values
    tied = (p == largest).sum(1)  # (N,), at least 1
    among = p.gather(1, labels[:, None]).squeeze(1) == largest.squeeze(1)
    return (1 - among.double() / tied).mean()


check("11.2", shared_error)

# %% [markdown]
# **11.3.** Class 0 is the close second of both, and their first choices differ. The average is $(0.44,\ 0.28,\ 0.28)$. (It is rare: of 10,000 test images it happens to three at most, in the record's averages of five networks.)

# %%
check("11.3", [[0.44, 0.46, 0.10], [0.44, 0.10, 0.46]])

# %% [markdown]
# **11.4.** The optimizer was made before the new classifier, so it still holds the weights of the old one, which nobody uses any more. The new classifier stays as it was drawn. The other layers do learn to please it, so the error falls, and the mistake is easily overlooked.


# %%
def begin(net, classes, rate):
    net[-1] = nn.Linear(net[-1].in_features, classes)
    return torch.optim.SGD(net.parameters(), rate, momentum=0.9)


check("11.4", begin)

# %% [markdown]
# **11.5.** The mistake of the vote is $w e_1 + (1-w) e_2$, and its square
#
# $$w^2 B_1 + 2 w (1 - w)\, C + (1-w)^2 B_2.$$
#
# The derivative by $w$ is $2 w B_1 + 2 (1 - 2w)\, C - 2 (1-w) B_2$, and 0 where $w\,(B_1 + B_2 - 2C) = B_2 - C$.

# %%
check("11.5", lambda B1, B2, C: (B2 - C) / (B1 + B2 - 2 * C))

# %% [markdown]
# If the second is the better one, the first is worth a vote as long as $C < B_2$: as long as its mistakes differ enough from those of the better one. At $C = B_2$ its weight is 0. With equal weights the bar is higher: the vote is better than the second alone only if
# $\frac14 (B_1 + B_2 + 2C) < B_2$, that is $B_1 + 2C < 3 B_2$. In the notebook:
#
# ```python
# truth = F.one_hot(test_y, 5)
# five, star = ten[:-1].mean(0), ten[-1]
# B1, B2 = (five - truth).square().sum(), (star - truth).square().sum()
# C = ((five - truth) * (star - truth)).sum()
# w = best_weight(B1, B2, C)
# for vote in (five, star, average(ten), w * five + (1 - w) * star):
#     print((vote.argmax(1) != test_y).float().mean())
# ```
#
# Search $w$ on some images and judge it on others; measured on the test images it knows a little too much. And the squared mistake is not the error: what is best for the first is only good for the second.
