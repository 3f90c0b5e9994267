# %% [markdown]
# # 10b · The update rule: solutions

# %%
import math

import torch

from alexnet_edu.notebook import check
from alexnet_edu.training.sgd import PaperSGD

# %% [markdown]
# **10.1.** Under a steady gradient the velocity settles where $v = m\,v - \epsilon\,g$, so at $-\epsilon\,g / (1 - m)$. With $1 - m$ half as large,
# $\epsilon$ must be half as large, too.

# %%
check("10.1", 0.01 * (1 - 0.95) / (1 - 0.9))

# %% [markdown]
# **10.2.** The paper's velocity is $v = -\epsilon\,b$, and it must not change at the drop: $\epsilon_1 b_1 = \epsilon_2 b_2$.

# %%
check("10.2", lambda b, old_rate, new_rate: b * old_rate / new_rate)

# %% [markdown]
# **10.4.** The noise falls as $1/\sqrt B$: a quarter takes 16 times as many images.

# %%
check("10.4", 16 * 128)

# %% [markdown]
# **10.5.** Each step of decay takes $0.0005\,\epsilon$ of the weight, and momentum repeats it $1 + 0.9 + 0.81 + \dots = 10$
# times. So the weight shrinks as $e^{-5 \cdot 10^{-5}\,n}$ and is at a half where $n = \ln 2 / (5 \cdot 10^{-5})$. Counted, it takes a few steps
# more, because momentum has to build up first.

# %%
w, steps = torch.ones(1, dtype=torch.float64, requires_grad=True), 0
optimizer = PaperSGD([w], lr=0.01)
w.grad = torch.zeros_like(w)
while w.item() > 0.5:
    optimizer.step()
    steps += 1
predicted = math.log(2) / (0.0005 * 0.01 * 10)
print(f"predicted {predicted:,.0f} steps, counted {steps:,}")
check("10.5", predicted)

# %% [markdown]
# **Dropping too early** loses, and soon: after a hundred batches noise is not yet what holds the network back, and steps a tenth as long have a long way to
# go. In our run it still got more than half of its training images wrong in the end, the other about a quarter. **The sentence** is wrong because the *validation
# error* was watched, not the loss, and because it stopped *decreasing*.
