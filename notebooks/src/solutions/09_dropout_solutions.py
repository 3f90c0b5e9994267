# %% [markdown]
# # 09 · Dropout: solutions

# %%
import itertools
import math

import torch

from alexnet_edu.notebook import check

# %% [markdown]
# **09.1.** $2^{8192} = 10^{8192 \log_{10} 2} = 10^{2466.04}$ has 2467 digits. Python can simply write it down.

# %%
digits = math.floor(2 * 4096 * math.log10(2)) + 1
print(digits == len(str(2**8192)))
check("09.1", digits)

# %% [markdown]
# **09.2.** $\log p_m(k) = z_{mk} - \log Z_m$. Averaged over $m$, the second part is the same for all classes, and
# renormalizing takes it away. So softmax of the mean logits is enough.


# %%
def geometric_mean_of(logits):
    return logits.mean(0).softmax(0)


check("09.2", geometric_mean_of)

# %% [markdown]
# **09.3.** With $W = W'/p$ the outputs agree. The layer of 2012 reads inputs that are $p$ times as large, so
# $\partial L/\partial W = p\, \partial L/\partial W'$. The weights stay in step if
# $\varepsilon p\, \partial L/\partial W' = \varepsilon'\, (\partial L/\partial W')/p$: that is $\varepsilon/\varepsilon' = 1/p^2$.

# %%
check("09.3", 1 / 0.8**2)

# %% [markdown]
# **09.4.** $\operatorname{Var}(m_i) = p - p^2$, and independent terms add:
# $\operatorname{Var}\left(\sum_i w_i m_i h_i\right) = p(1-p) \sum_i (w_i h_i)^2$. For a given sum the squares are smallest when all terms are equal: dropout
# favours many small weights over a few large ones. Counted over all masks:


# %%
def noise_variance(w, h, keep):
    return keep * (1 - keep) * (w * h).square().sum()


w, h = torch.randn(2, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
masks = torch.tensor(list(itertools.product((0.0, 1.0), repeat=6)), dtype=torch.float64)
sums = masks @ (w * h)
print(torch.allclose(sums.var(correction=0), noise_variance(w, h, torch.tensor(0.5))))
check("09.4", noise_variance)

# %% [markdown]
# **09.5.** For large $w$ the halved network says nearly 1. One of the two networks says 1, the other knows nothing and
# says ½, so their average stays at ¾.

# %%
check("09.5", 20.0)

# %% [markdown]
# **The sick patient.** `nn.Dropout` does nothing at test time, so nobody halves the outputs that the weights of 2012 expect halved. All logits are too large by a
# similar factor: the largest mostly stays the largest, so the error hardly moves, but the network is far too sure of itself, and the loss notices.
#
# **Keep 0.8.** Fewer units are missing in each step. So expect curves between the other two: the training error falls faster than at 0.5, and the gap to the test
# error is wider.
#
# **Masks on convolutions.** A convolution has few weights, shared by all positions, so there is less to overfit with. And neighbouring values are alike: what
# the mask takes away at one position, the next layer still reads at the one beside it.
