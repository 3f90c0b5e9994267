# %% [markdown]
# # 10 · Initialization: solutions

# %%
from math import prod

from alexnet_edu.model.architecture import fan_ins, variant
from alexnet_edu.notebook import check

# %% [markdown]
# **10.3.** $\sqrt{n/2}\,\sigma = 1$ with $n = 5 \cdot 5 \cdot 48 = 1200$: four times the paper's 0.01.

# %%
check("10.3", (2 / (5 * 5 * 48)) ** 0.5)

# %% [markdown]
# **10.6.** `weight.shape[0]` counts the outputs. The fan-in is what *one* output reads, and that is `weight[0]`, groups or not. In conv2 the faulty $n$
# is $256 \cdot 25 = 6400$ in place of $48 \cdot 25 = 1200$, so the gain is $\sqrt{1200/6400} = 0.43$.


# %%
def he_std(weight):
    return (2 / weight[0].numel()) ** 0.5


check("10.6", he_std)

# %% [markdown]
# **10.7.** The loss sees $c\,Wx$. Its gradient with respect to $W$ is $c\,(p - y)\,x^\top$, so the step is $c$ times as long; and $c\,Wx$
# feels it $c$ times once more: $c^2 = 10{,}000$.
#
# Some $c$ do heal the patient, if you wait. In the narrow network $c = 50$ learns the ten images in about forty steps; but from about 70 on
# the loss explodes, and at 20 it may learn and explode afterwards. The images differ no more than before. What $c$ has changed is
# the learning rate: $c^2$ times as large for the last layer, $c$ times for the layers below it. He's weights need no such luck.

# %%
check("10.7", 100**2)

# %% [markdown]
# **10.8.** Eight gains $\sqrt{n_l}\,\sigma$, seven halvings of the power, normalization twice, dropout twice:
# $\sigma^8 \prod \sqrt{n_l} \cdot 2^{-7/2} \cdot 2^{-3/2} \cdot 2^{-2} = 1$.

# %%
product = prod(n**0.5 for n in fan_ins(variant("paper")).values()) * 2**-3.5 * 2**-1.5 * 2**-2
check("10.8", product ** (-1 / 8))

# %% [markdown]
# **Batch normalization** subtracts from each unit what the images of a batch have in common, and divides by how much they differ. So the difference leaves
# every normalized layer at size 1, whatever the pixels and whatever $\sigma$: no flat loss, no slow start, and no activations that explode. (The price: a
# prediction in training depends on the other images of the batch.)
